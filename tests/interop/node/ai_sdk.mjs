// Vercel's AI SDK, with both of its providers of chat completions.
import { createOpenAI } from '@ai-sdk/openai'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { generateObject, generateText, Output, stepCountIs, streamText, tool } from 'ai'
import { z } from 'zod'
import { apiKey, baseURL, model as name, prompt, runCases, textOf } from './cases.mjs'

const models = {
  compatible: createOpenAICompatible({ name: 'luthier', baseURL, apiKey, supportsStructuredOutputs: true, includeUsage: true })(name),
  openai: createOpenAI({ baseURL, apiKey }).chat(name),
}
const City = z.object({ name: z.string(), population: z.number() })
const getWeather = tool({
  description: 'The weather in a city',
  inputSchema: z.object({ city: z.string() }),
  execute: ({ city }) => `It is sunny in ${city}.`,
})
const weather = "What is the weather in 'Kyoto'?"

const cases = {
  async chat(model) {
    const { text, usage, finishReason } = await generateText({ model, prompt })
    return [text, usage.totalTokens, finishReason]
  },
  async stream(model) {
    const result = streamText({ model, prompt })
    return [await textOf(result.textStream), (await result.usage).totalTokens]
  },
  async tool_loop(model) {
    const { text, steps } = await generateText({ model, prompt: weather, tools: { get_weather: getWeather }, stopWhen: stepCountIs(3) })
    return [text, steps.length]
  },
  async tool_loop_streamed(model) {
    return textOf(streamText({ model, prompt: weather, tools: { get_weather: getWeather }, stopWhen: stepCountIs(3) }).textStream)
  },
  async tool_required(model) {
    const { toolCalls } = await generateText({ model, prompt: weather, tools: { get_weather: getWeather }, toolChoice: 'required' })
    return toolCalls.map(({ toolName, input }) => [toolName, input])
  },
  async structured_output(model) {
    return (await generateObject({ model, schema: City, prompt: "'Kyoto' has 1460000 inhabitants." })).object
  },
  async structured_output_streamed(model) {
    const output = Output.object({ schema: City })
    const result = streamText({ model, output, prompt: "'Kyoto' has 1460000 inhabitants." })
    await result.consumeStream()
    return result.output
  },
  async wrong_key() {
    const model = createOpenAICompatible({ name: 'luthier', baseURL, apiKey: 'lk_wrong' })(name)
    try {
      await generateText({ model, prompt })
    } catch (error) {
      return [error.name, error.statusCode]
    }
  },
  async broken_stream(model) {
    const prompt = 'one two three four five [fault: breaks_off]'
    const errors = []
    const result = streamText({ model, prompt, maxRetries: 0, onError: ({ error }) => void errors.push(error) })
    await result.consumeStream()
    return errors.length
  },
}

await runCases(
  Object.fromEntries(
    Object.entries(models).flatMap(([provider, model]) =>
      Object.entries(cases).map(([name, run]) => [`${provider}: ${name}`, () => run(model)]),
    ),
  ),
)
