// openai for Node.js.
import OpenAI from 'openai'
import { zodResponseFormat } from 'openai/helpers/zod'
import { z } from 'zod'
import { apiKey, baseURL, model, prompt, runCases } from './cases.mjs'

const client = new OpenAI({ baseURL, apiKey })
const user = (content) => [{ role: 'user', content }]
const hello = user(prompt)
const weather = user("What is the weather in 'Kyoto'?")
const object = (properties) => ({ type: 'object', properties, required: Object.keys(properties) })
const tools = [
  { type: 'function', function: { name: 'get_weather', parameters: object({ city: { type: 'string' } }) } },
  { type: 'function', function: { name: 'get_time', parameters: object({}) } },
]
const City = zodResponseFormat(z.object({ name: z.string(), population: z.number() }), 'City')

const chat = (messages = hello, options = {}) => client.chat.completions.create({ model, messages, ...options })

function callsOf({ choices: [{ finish_reason, message }] }) {
  const calls = message.tool_calls ?? []
  return [finish_reason, calls.map((call) => [call.function.name, call.function.arguments])]
}

async function chunksOf(stream) {
  const chunks = []
  for await (const chunk of await stream) chunks.push(chunk)
  return chunks
}

const textOf = (chunks) => chunks.map(({ choices: [choice] }) => choice?.delta?.content ?? choice?.text ?? '').join('')

async function errorOf(promise) {
  try {
    await promise
  } catch (error) {
    if (!(error instanceof OpenAI.APIError)) throw error
    return [error.constructor.name, error.code ?? null, (error.param ?? '').split('[')[0]]
  }
}

async function broken(fault) {
  try {
    await chunksOf(chat(user(`one two three four five [fault: ${fault}]`), { stream: true }))
  } catch (error) {
    return error instanceof OpenAI.APIError ? 'APIError' : error.constructor.name
  }
}

await runCases({
  async chat_whole() {
    const { choices: [choice], usage, model: answered } = await chat()
    return [choice.message.content, choice.finish_reason, answered === model, usage.prompt_tokens, usage.completion_tokens]
  },
  async chat_stream() {
    const chunks = await chunksOf(chat(hello, { stream: true, stream_options: { include_usage: true } }))
    return [textOf(chunks), chunks.length > 3, chunks.at(-1).usage.total_tokens]
  },
  async chat_asynchronous() {
    return textOf(await chunksOf(chat(hello, { stream: true })))
  },
  async answered_model_may_be_sent_back() {
    const { model: answered } = await chat()
    return (await chat(hello, { model: answered })).choices[0].message.content
  },
  async models_list() {
    return (await chunksOf(client.models.list())).map(({ id }) => id)
  },
  async models_retrieve() {
    return (await client.models.retrieve(model)).id
  },
  async models_retrieve_raw() {
    const response = await fetch(`${baseURL}/models/${model}`, { headers: { authorization: `Bearer ${apiKey}` } })
    return [response.status, (await response.json()).id]
  },
  tools_auto: async () => callsOf(await chat(weather, { tools })),
  tools_required: async () => callsOf(await chat(hello, { tools, tool_choice: 'required' })),
  tools_named: async () =>
    callsOf(await chat(hello, { tools, tool_choice: { type: 'function', function: { name: 'get_time' } } })),
  tools_none: async () => callsOf(await chat(weather, { tools, tool_choice: 'none' })),
  tools_stream: async () =>
    callsOf(await client.chat.completions.stream({ model, messages: weather, tools }).finalChatCompletion()),
  async tool_loop() {
    const runner = client.chat.completions.runTools({
      model,
      messages: weather,
      tools: [{ type: 'function', function: { ...tools[0].function, parse: JSON.parse, function: () => 'It is sunny.' } }],
    })
    return runner.finalContent()
  },
  async structured_parse() {
    const messages = user("The city 'Kyoto' has 1460000 inhabitants.")
    const { choices } = await client.chat.completions.parse({ model, messages, response_format: City })
    return choices[0].message.parsed
  },
  async structured_stream() {
    const stream = client.chat.completions.stream({ model, messages: hello, response_format: City })
    return (await stream.finalChatCompletion()).choices[0].message.parsed
  },
  async json_mode() {
    const { choices } = await chat(user("JSON with the key 'name'"), { response_format: { type: 'json_object' } })
    return JSON.parse(choices[0].message.content)
  },
  async two_choices() {
    const { choices, usage } = await chat(hello, { n: 2 })
    return [choices.map(({ index }) => index), usage.completion_tokens]
  },
  async two_choices_streamed() {
    const chunks = await chunksOf(chat(hello, { n: 2, stream: true }))
    return [...new Set(chunks.flatMap(({ choices }) => choices.map(({ index }) => index)))].sort()
  },
  async stop_and_length() {
    const answers = [await chat(hello, { stop: ['Hel'] }), await chat(hello, { max_tokens: 1 })]
    return answers.map(({ choices: [choice] }) => [choice.message.content, choice.finish_reason])
  },
  async logprobs() {
    const { choices: [choice] } = await chat(hello, { logprobs: true, top_logprobs: 2 })
    return choice.logprobs.content.map(({ token, top_logprobs }) => [token, top_logprobs.length])
  },
  async completions_legacy() {
    const { choices: [choice], usage } = await client.completions.create({ model, prompt: 'Once' })
    return [choice.text, usage.total_tokens]
  },
  async completions_legacy_stream() {
    return textOf(await chunksOf(client.completions.create({ model, prompt: 'Once', stream: true })))
  },
  async completions_legacy_logprobs() {
    const { choices } = await client.completions.create({ model, prompt: 'Once', logprobs: 2, max_tokens: 2 })
    const { tokens, token_logprobs, top_logprobs, text_offset } = choices[0].logprobs
    return [tokens, token_logprobs, top_logprobs.map(Object.keys), text_offset.length]
  },
  error_wrong_key: () => errorOf(new OpenAI({ baseURL, apiKey: 'lk_wrong' }).models.list()),
  error_unknown_model: () => errorOf(chat(hello, { model: 'acme/another' })),
  error_unknown_model_retrieved: () => errorOf(client.models.retrieve('acme/another')),
  error_out_of_range: () => errorOf(chat(hello, { temperature: 5 })),
  error_too_many_stops: () => errorOf(chat(hello, { stop: ['a', 'b', 'c', 'd', 'e', 'f'] })),
  error_no_messages: () => errorOf(chat([])),
  error_unknown_role: () => errorOf(chat([{ role: 'wizard', content: 'Hello' }])),
  error_no_embeddings: async () => (await errorOf(client.embeddings.create({ model, input: 'Hello' })))[0],
  error_of_the_model_server: async () => (await errorOf(chat(user('[fault: 500]'))))[0],
  async error_slow_model_server() {
    try {
      await client.chat.completions.create({ model, messages: user('[fault: slow]') }, { timeout: 500, maxRetries: 0 })
    } catch (error) {
      return error instanceof OpenAI.APIConnectionTimeoutError ? 'timeout' : error.constructor.name
    }
  },
  retry_after_429: async () => (await chat(user('[fault: 429] openai node'))).choices[0].finish_reason,
  stream_that_breaks_off: () => broken('breaks_off'),
  stream_with_an_error_event: () => broken('error_event'),
})
