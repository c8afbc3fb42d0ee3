// Calls of the API with what every browser has, for pages on another origin than the API's.
const parameters = new URLSearchParams(location.search);
export const given = Object.fromEntries(parameters);
export const server = given.server;

const NAMES = ['accept-ranges', 'content-disposition', 'content-range', 'etag', 'retry-after', 'x-request-id', 'x-should-retry'];

export class Session {
  constructor(token) {
    this.token = token;
  }

  get bearer() {
    return this.token ? { authorization: `Bearer ${this.token}` } : {};
  }

  fetch(path, { headers, ...options } = {}) {
    return fetch(server + path, { ...options, headers: { ...this.bearer, ...headers } });
  }

  post(query, variables, headers = {}) {
    const body = JSON.stringify({ query, variables });
    return this.fetch('/graphql', { method: 'POST', body, headers: { 'content-type': 'application/json', ...headers } });
  }

  async graphql(query, variables) {
    const { data, errors } = await (await this.post(query, variables)).json();
    if (errors) throw new Error(JSON.stringify(errors));
    return data;
  }

  async mutate(name, selection, input) {
    const type = `${name[0].toUpperCase()}${name.slice(1)}Input`;
    const document = `mutation($input: ${type}!) { ${name}(input: $input) { ${selection} userErrors { message } } }`;
    const payload = (await this.graphql(document, { input }))[name];
    if (payload.userErrors.length) throw new Error(JSON.stringify(payload.userErrors));
    return payload;
  }

  upload(projectId, filename, text) {
    const form = new FormData();
    form.append('kind', 'dataset_upload');
    form.append('files', new Blob([text], { type: 'text/csv' }), filename);
    return this.fetch(`/api/projects/${projectId}/files`, { method: 'POST', body: form });
  }

  async ticket(path) {
    const { ticket } = await this.graphql('query($path: String!) { ticket(path: $path) { ticket } }', { path });
    return `${server}${path}?ticket=${ticket.ticket}`;
  }
}

// The events of a response, each with its name and its data.
export async function* events(response) {
  let text = '';
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    const parts = (text + chunk).split('\n\n');
    text = parts.pop();
    for (const part of parts) {
      const lines = part.split('\n').map((line) => line.split(/: ?/));
      const event = Object.fromEntries(lines.map(([name, ...rest]) => [name, rest.join(': ')]));
      if ('data' in event) yield { name: event.event ?? 'message', data: event.data };
    }
  }
}

// The names of the headers that a script needs and can read.
export function readable(response) {
  return NAMES.filter((name) => response.headers.has(name));
}

export function show(outcome) {
  document.querySelector('#outcome').textContent = JSON.stringify(outcome);
}
