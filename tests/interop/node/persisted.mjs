// Apollo Client and urql with persisted queries, which the server does not store: what they send, and what they get.
import { createHash } from 'node:crypto'
import { ApolloClient, HttpLink, InMemoryCache, gql } from '@apollo/client'
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries'
import { Client, fetchExchange, subscriptionExchange } from '@urql/core'
import { persistedExchange } from '@urql/exchange-persisted'
import { createClient } from 'graphql-ws'
import { WebSocket } from 'ws'
import { runCases } from './cases.mjs'

const { URL: server, TOKEN, JOB_ID: jobId } = process.env
const uri = `${server}/graphql`
const headers = { authorization: `Bearer ${TOKEN}` }
const FIRST = 'query First { viewer { id } }'
const SECOND = 'query Second { viewer { id name } }'
const FOLLOW = 'subscription Follow($id: ID!) { jobEvents(jobId: $id) { cursor } }'

// A fetch that notes of each request whether it has a hash and the text of the operation, and the response's status.
function recorder() {
  const requests = []
  const recording = async (target, options) => {
    const { method } = options
    const parameters = method === 'POST' ? JSON.parse(options.body) : Object.fromEntries(new URL(target).searchParams)
    const response = await fetch(target, options)
    const hash = JSON.stringify(parameters.extensions ?? '').includes('sha256Hash')
    requests.push({ method, hash, text: Boolean(parameters.query), status: response.status })
    return response
  }
  return { requests, recording }
}

// The first result of a subscription, whose toPromise() waits for the last one.
const first = (source) => new Promise((resolve) => source.subscribe(resolve))

async function apollo(options) {
  const { requests, recording } = recorder()
  const sha256 = (text) => createHash('sha256').update(text).digest('hex')
  const link = new PersistedQueryLink({ sha256, ...options }).concat(new HttpLink({ uri, headers, fetch: recording }))
  const client = new ApolloClient({ link, cache: new InMemoryCache() })
  const results = []
  for (const text of [FIRST, SECOND]) {
    const { data } = await client.query({ query: gql(text), fetchPolicy: 'no-cache' })
    results.push(data.viewer.id)
  }
  return [requests, results]
}

async function urql(options, subscriptions = []) {
  const { requests, recording } = recorder()
  const client = new Client({
    url: uri,
    fetch: recording,
    fetchOptions: { headers },
    fetchSubscriptions: true,
    preferGetMethod: false,
    exchanges: [persistedExchange(options), ...subscriptions, fetchExchange],
  })
  const results = []
  for (const text of [FIRST, SECOND]) {
    const { data, error } = await client.query(text, {}, { requestPolicy: 'network-only' }).toPromise()
    results.push(error?.message ?? data.viewer.id)
  }
  if (options.enableForSubscriptions) {
    const { data, error } = await first(client.subscription(FOLLOW, { id: jobId }))
    results.push(error?.message ?? data.jobEvents.cursor)
  }
  return [requests, results]
}

async function overWebSocket() {
  const socket = createClient({
    url: uri.replace('http', 'ws'),
    webSocketImpl: WebSocket,
    connectionParams: { headers: { Authorization: headers.authorization } },
    retryAttempts: 0,
  })
  const forwardSubscription = (request) => ({
    subscribe: (sink) => ({ unsubscribe: socket.subscribe({ ...request, query: request.query ?? '' }, sink) }),
  })
  const subscriptions = subscriptionExchange({ forwardSubscription, enableAllOperations: true })
  const found = await urql({ enableForSubscriptions: true }, [subscriptions])
  await socket.dispose()
  return found
}

await runCases({
  apollo: () => apollo({}),
  apollo_by_get: () => apollo({ useGETForHashedQueries: true }),
  urql: () => urql({ preferGetForPersistedQueries: false }),
  urql_by_get: () => urql({}),
  urql_with_subscriptions: () => urql({ preferGetForPersistedQueries: false, enableForSubscriptions: true }),
  urql_over_a_websocket: overWebSocket,
})
