// Queries and mutations go over HTTP, subscriptions over graphql-transport-ws; both carry the access token.
import { createGraphiQLFetcher } from "@graphiql/toolkit";
import { createClient } from "graphql-ws";
import { authorization } from "./token.jsx";

const URL_OF_HTTP = "/graphql";
const URL_OF_WEBSOCKET = `${location.origin.replace(/^http/, "ws")}/graphql`;

const withToken = (url, init) => fetch(url, { ...init, headers: { ...init.headers, ...authorization() } });

export const fetcher = createGraphiQLFetcher({
  url: URL_OF_HTTP,
  fetch: withToken,
  enableIncrementalDelivery: false,
  wsClient: createClient({
    url: URL_OF_WEBSOCKET,
    connectionParams: authorization, // asked anew for each connection, and each lives as long as its subscription
    retryAttempts: 0, // a refusal is shown at once, not after five tries
  }),
});
