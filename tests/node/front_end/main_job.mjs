// From a table to the streamed answer of a deployed model, by a page on another origin.
import { createClient } from '/graphql-ws/client.js';
import { Session, events, given, readable, server, show } from './calls.mjs';

const TABLE = 'question,answer\nCapital of France?,Paris\nCapital of Peru?,Lima\nCapital of Japan?,Tokyo\n';
const ACCOUNT = { email: 'page@example.org', password: 'correct horse', name: 'A Page' };
const FOLLOW = 'subscription($id: ID!) { jobEvents(jobId: $id) { ... on StatusEvent { status error } } }';

const session = new Session();
const seen = {};

async function uploaded(projectId) {
  const input = { projectId, fileName: 'table.csv', fileType: 'text/csv', kind: 'DATASET_UPLOAD', sizeBytes: TABLE.length };
  const target = await session.mutate('initiateUpload', 'document { id } s3Key uploadUrl method headers', input);
  const put = await fetch(target.uploadUrl, { method: target.method, headers: target.headers, body: TABLE });
  seen.presigned = [put.status, readable(put)];
  const documentId = target.document.id;
  const { job } = await session.mutate('completeUpload', 'job { id }', { documentId, s3Key: target.s3Key });
  await followBySse(job.id);
  return documentId;
}

async function followBySse(id) {
  const response = await session.post(FOLLOW, { id }, { accept: 'text/event-stream' });
  let last;
  for await (const { name, data } of events(response)) if (name === 'next') last = JSON.parse(data);
  seen.sse = [response.status, readable(response), last.data.jobEvents.status];
}

async function followByWebSocket(id) {
  const client = createClient({
    url: `${server.replace('http', 'ws')}/graphql`,
    connectionParams: session.bearer,
    retryAttempts: 0,
  });
  let last;
  for await (const { data } of client.iterate({ query: FOLLOW, variables: { id } })) last = data.jobEvents;
  seen.webSocket = last;
  await client.dispose();
}

async function followByEventSource(path) {
  const source = new EventSource(await session.ticket(path));
  const names = new Set();
  await new Promise((resolve, reject) => {
    for (const name of ['log', 'progress', 'checkpoint']) source.addEventListener(name, () => names.add(name));
    source.addEventListener('complete', resolve);
    source.addEventListener('error', () => reject(new Error('The EventSource failed.')));
  }).finally(() => source.close());
  seen.eventSource = [...names].sort();
}

async function downloads(projectId, documentId, datasetId) {
  const dataset = await session.fetch(`/api/projects/${projectId}/training-datasets/${datasetId}/download?format=csv`);
  const lines = (await dataset.text()).trim().split('\n').length;
  seen.dataset = [dataset.status, readable(dataset), dataset.headers.get('content-disposition'), lines];
  const path = `/api/projects/${projectId}/documents/${documentId}/download`;
  const part = await session.fetch(path, { headers: { range: 'bytes=0-7' } });
  seen.part = [part.status, readable(part), part.headers.get('content-range'), await part.text()];
  const headers = { 'if-none-match': part.headers.get('etag') };
  seen.unchanged = (await session.fetch(path, { headers, cache: 'no-store' })).status;
  const byTicket = await fetch(await session.ticket(path));
  seen.byTicket = [byTicket.status, (await byTicket.text()) === TABLE];
}

async function errors(projectId) {
  const missing = `/api/projects/${projectId}/documents/doc_0/download`;
  const unauthenticated = await fetch(server + missing);
  seen.unauthenticated = [unauthenticated.status, readable(unauthenticated), (await unauthenticated.json()).error_code];
  const notFound = await session.fetch(missing);
  seen.notFound = [notFound.status, readable(notFound), (await notFound.json()).error_code];
  const wrongKey = await new Session('lk_wrong').fetch(`/public/${projectId}/models`);
  seen.wrongKey = [wrongKey.status, readable(wrongKey), (await wrongKey.json()).error.code];
  let limited;
  do limited = await session.upload(projectId, 'more.csv', TABLE); while (limited.status === 201);
  seen.limited = [limited.status, readable(limited), (await limited.json()).error_code];
}

async function answer(baseUrl, model, apiKey) {
  const messages = [{ role: 'user', content: 'What is the capital of Japan?' }];
  const response = await fetch(`${baseUrl}/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json', 'x-stainless-lang': 'js' },
    body: JSON.stringify({ model, messages, stream: true }),
  });
  let text = '';
  for await (const { data } of events(response)) {
    if (data !== '[DONE]') text += JSON.parse(data).choices[0]?.delta.content ?? '';
  }
  seen.answer = [response.status, readable(response), text];
}

async function mainJob() {
  const register = 'mutation($input: RegisterInput!) { register(input: $input) { accessToken userErrors { message } } }';
  const registered = await session.post(register, { input: ACCOUNT });
  seen.register = [registered.status, readable(registered)];
  session.token = (await registered.json()).data.register.accessToken;
  const viewer = await session.fetch(`/graphql?${new URLSearchParams({ query: '{ viewer { email } }' })}`);
  seen.viewer = (await viewer.json()).data.viewer.email;
  const projectId = (await session.mutate('createProject', 'project { id }', { name: 'From a page' })).project.id;
  const form = await session.upload(projectId, 'form.csv', TABLE);
  seen.form = [form.status, readable(form), (await form.json()).files[0].filename];

  const documentId = await uploaded(projectId);
  const fields = { inputField: 'question', outputField: 'answer', fieldNames: ['question', 'answer'] };
  const datasetId = (await session.mutate('createDataset', 'dataset { id }', { projectId, ...fields })).dataset.id;
  const imported = await session.mutate('importDataset', 'job { id }', { datasetId, documentId });
  await followBySse(imported.job.id);
  await downloads(projectId, documentId, datasetId);

  const tuned = await session.mutate('createFinetune', 'finetune { id } job { id }', {
    projectId,
    baseModelName: 'luthier/tiny',
    trainingDatasetId: datasetId,
  });
  const finetuneId = tuned.finetune.id;
  const logs = `/api/projects/${projectId}/finetunes/${finetuneId}/logs/stream`;
  await Promise.all([followByWebSocket(tuned.job.id), followByEventSource(logs)]);

  const deployment = 'deployment { modelName baseUrl } job { id } apiKey';
  const deployed = await session.mutate('createDeployment', deployment, { projectId, finetuneId });
  await followBySse(deployed.job.id);
  const { modelName: model, baseUrl } = deployed.deployment;
  await answer(baseUrl, model, deployed.apiKey);
  await errors(projectId);
  return { token: session.token, projectId, logs: await session.ticket(logs), baseUrl, model, apiKey: deployed.apiKey };
}

mainJob().then(
  (made) => show({ seen, made }),
  (error) => show({ seen, error: `${error}\n${error.stack}` }),
);
