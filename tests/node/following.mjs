// What each client does: asks, changes, follows a job, leaves, and comes back to where it was.
const VIEWER = '{ viewer { id } }';
const CREATE = `mutation($input: CreateProjectInput!) {
  createProject(input: $input) { project { name } userErrors { message } } }`;
const FOLLOW = `subscription($id: ID!, $after: String) { jobEvents(jobId: $id, after: $after) {
  __typename cursor ... on StatusEvent { status } ... on LogEvent { line } } }`;

async function one(client, query, variables) {
  for await (const result of client.iterate({ query, variables })) return result;
}

async function* events(client, id, after) {
  for await (const { data, errors } of client.iterate({ query: FOLLOW, variables: { id, after } })) {
    if (errors) throw new Error(JSON.stringify(errors));
    yield data.jobEvents;
  }
}

const say = (told) => console.log(JSON.stringify(told));

export async function follow(client, jobId) {
  const viewer = (await one(client, VIEWER)).data.viewer;
  const project = (await one(client, CREATE, { input: { name: 'From Node' } })).data.createProject;
  const seen = [];
  for await (const event of events(client, jobId, null)) {
    seen.push(event);
    if (seen.length === 2) break;
  }
  say({ viewer, project, seen });
  const rest = [];
  for await (const event of events(client, jobId, seen.at(-1).cursor)) rest.push(event);
  say({ rest });
  const refused = await one(client, '{ nothing }').catch((errors) => ({ errors }));
  say({ refused: refused.errors.map(({ extensions }) => extensions.code) });
}
