// The reference client of graphql-transport-ws; the token goes where a browser puts it.
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { follow } from './following.mjs';

const [url, token, jobId] = process.argv.slice(2);
const client = createClient({
  url: `${url.replace('http', 'ws')}/graphql`,
  webSocketImpl: WebSocket,
  connectionParams: { authorization: `Bearer ${token}` },
  retryAttempts: 0,
});
await follow(client, jobId);
await client.dispose();
