// What a page reaches of an API on another origin: `true` for each call whose response it can read.
import { Session, given, server, show } from './calls.mjs';

const { token, projectId, logs, baseUrl, model, apiKey } = given;
const session = new Session(token);
const account = { email: 'another@example.org', password: 'correct horse', name: 'Another' };
const register = 'mutation($input: RegisterInput!) { register(input: $input) { accessToken } }';

const attempts = {
  health: () => fetch(`${server}/health`),
  register: () => new Session().post(register, { input: account }),
  get: () => session.fetch(`/graphql?query=${encodeURIComponent('{ viewer { id } }')}`),
  subscription: () => session.post('subscription { jobEvents(jobId: "job_0") { cursor } }', {}, { accept: 'text/event-stream' }),
  upload: () => session.upload(projectId, 'table.csv', 'question,answer\nq,a\n'),
  ticket: () => fetch(logs),
  eventSource: () => opened(new EventSource(logs)),
  webSocket: () => opened(new WebSocket(`${server.replace('http', 'ws')}/graphql`, 'graphql-transport-ws')),
  chat: () =>
    fetch(`${baseUrl}/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model, messages: [{ role: 'user', content: 'Hello?' }] }),
    }),
};

function opened(source) {
  return new Promise((resolve, reject) => {
    source.addEventListener('open', resolve);
    source.addEventListener('error', reject);
  }).finally(() => source.close());
}

for (const [method, path] of JSON.parse(given.routes)) {
  const headers = { 'x-api-key': 'a key', 'idempotency-key': 'a key' };
  attempts[`${method} ${path}`] = () => session.fetch(path, { method, headers });
}

const outcomes = Object.entries(attempts).map(async ([name, attempt]) => [name, await attempt().then(() => true, () => false)]);
show(Object.fromEntries(await Promise.all(outcomes)));
