// Apollo Client: queries over HTTP, persisted ones first, and subscriptions over a WebSocket.
import { ApolloClient, CombinedGraphQLErrors, gql, HttpLink, InMemoryCache } from '@apollo/client/core/index.js'
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries'
import { GraphQLWsLink } from '@apollo/client/link/subscriptions'
import { createHash } from 'node:crypto'
import { createClient } from 'graphql-ws'
import { WebSocket } from 'ws'
import { runCases } from './cases.mjs'

const { URL, TOKEN, JOB_ID } = process.env
const headers = { authorization: `Bearer ${TOKEN}` }
const bodies = []
const http = new HttpLink({
  uri: `${URL}/graphql`,
  headers,
  fetch: (url, options) => (bodies.push(options.body), fetch(url, options)),
})
const sha256 = (text) => createHash('sha256').update(text).digest('hex')
const clientOf = (link) => new ApolloClient({ link, cache: new InMemoryCache() })
const overSocket = (connectionParams) =>
  createClient({ url: `${URL.replace('http', 'ws')}/graphql`, webSocketImpl: WebSocket, connectionParams, retryAttempts: 0 })

const client = clientOf(http)
const VIEWER = gql`{ viewer { id email } }`
const CREATE = gql`mutation($input: CreateProjectInput!) { createProject(input: $input) { project { id name } } }`
const PROJECTS = gql`query($first: Int) { projects(first: $first) { nodes { id name } } }`
const EVENTS = gql`subscription($id: ID!) { jobEvents(jobId: $id) { ... on StatusEvent { status } } }`

async function eventsOf(socket) {
  const seen = []
  await new Promise((complete, error) =>
    clientOf(new GraphQLWsLink(socket))
      .subscribe({ query: EVENTS, variables: { id: JOB_ID } })
      .subscribe({ next: (result) => seen.push(result.data?.jobEvents.status ?? result.error.message), complete, error }),
  )
  await socket.dispose()
  return seen
}

await runCases({
  async query() {
    return (await client.query({ query: VIEWER })).data.viewer.__typename
  },
  async mutation() {
    const { data } = await client.mutate({ mutation: CREATE, variables: { input: { name: 'From Apollo' } } })
    return data.createProject.project.name
  },
  async cache() {
    await client.query({ query: PROJECTS, variables: { first: 10 } })
    bodies.length = 0
    const { data } = await client.query({ query: PROJECTS, variables: { first: 10 } })
    return [data.projects.nodes.some(({ name }) => name === 'From Apollo'), bodies.length]
  },
  async persisted_query_falls_back() {
    bodies.length = 0
    const persisted = clientOf(new PersistedQueryLink({ sha256 }).concat(http))
    const { data } = await persisted.query({ query: VIEWER })
    return [data.viewer.__typename, bodies.map((body) => 'query' in JSON.parse(body))]
  },
  async error() {
    try {
      await client.query({ query: gql`{ nothing }` })
    } catch (error) {
      return CombinedGraphQLErrors.is(error) && error.errors.map(({ extensions }) => extensions.code)
    }
  },
  subscription: () => eventsOf(overSocket({ Authorization: headers.authorization })),
  headers_in_connection_init: () => eventsOf(overSocket({ headers: { Authorization: headers.authorization } })),
})
