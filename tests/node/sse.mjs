// The reference client of GraphQL over server-sent events, a connection for each operation.
import { createClient } from 'graphql-sse';
import { follow } from './following.mjs';

const [url, token, jobId] = process.argv.slice(2);
const client = createClient({
  url: `${url}/graphql`,
  headers: { authorization: `Bearer ${token}` },
  retryAttempts: 0,
});
await follow(client, jobId);
client.dispose();
