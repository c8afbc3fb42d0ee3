// urql: queries over HTTP, persisted ones first, and subscriptions over a WebSocket and over server-sent events.
import { cacheExchange, Client, fetchExchange, gql, subscriptionExchange } from '@urql/core'
import { persistedExchange } from '@urql/exchange-persisted'
import { createClient } from 'graphql-ws'
import { WebSocket } from 'ws'
import { runCases } from './cases.mjs'

const { URL, TOKEN, JOB_ID } = process.env
const authorization = `Bearer ${TOKEN}`
const sent = []
const VIEWER = gql`{ viewer { id } }`
const CREATE = gql`mutation($input: CreateProjectInput!) { createProject(input: $input) { project { id name } } }`
const EVENTS = gql`subscription($id: ID!) { jobEvents(jobId: $id) { ... on StatusEvent { status } } }`

const hasText = (url, body) => (body ? 'query' in JSON.parse(body) : new globalThis.URL(url).searchParams.has('query'))

function clientOf(exchanges, options = {}) {
  return new Client({
    url: `${URL}/graphql`,
    preferGetMethod: false,
    fetchOptions: { headers: { authorization } },
    fetch: (url, options) => (sent.push(hasText(url, options.body)), fetch(url, options)),
    exchanges,
    ...options,
  })
}

const client = clientOf([cacheExchange, fetchExchange])

function eventsOf(client) {
  const seen = []
  return new Promise((resolve) => {
    client.subscription(EVENTS, { id: JOB_ID }).subscribe(({ data, error, hasNext }) => {
      if (error) resolve([error.message])
      if (data) seen.push(data.jobEvents.status)
      if (seen.at(-1) === 'SUCCESS') resolve(seen)
    })
  })
}

await runCases({
  async query() {
    return (await client.query(VIEWER, {})).data.viewer.__typename
  },
  async mutation() {
    return (await client.mutation(CREATE, { input: { name: 'From urql' } })).data.createProject.project.name
  },
  async persisted_query_falls_back() {
    sent.length = 0
    const persisted = clientOf([persistedExchange({}), fetchExchange])
    const { data, error } = await persisted.query(VIEWER, {})
    return [data?.viewer.id.split('_')[0] ?? error.message, [...sent]]
  },
  async error() {
    const { error } = await client.query(gql`{ nothing }`, {})
    return error.graphQLErrors.map(({ extensions }) => extensions.code)
  },
  async subscription() {
    const socket = createClient({
      url: `${URL.replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      connectionParams: { Authorization: authorization },
      retryAttempts: 0,
    })
    const forward = subscriptionExchange({
      forwardSubscription: (request) => ({
        subscribe: (sink) => ({ unsubscribe: socket.subscribe({ ...request, query: request.query ?? '' }, sink) }),
      }),
    })
    const seen = await eventsOf(clientOf([fetchExchange, forward]))
    await socket.dispose()
    return seen
  },
  subscription_by_fetch: () => eventsOf(clientOf([fetchExchange], { fetchSubscriptions: true })),
})
