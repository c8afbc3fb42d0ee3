// Runs the cases of a program, and prints the result of each as a line of JSON.
const { CASES = '', PROMPT: prompt = 'Hello' } = process.env
const only = CASES.split(' ').filter(Boolean)
export { prompt }
export const { BASE_URL: baseURL, API_KEY: apiKey, MODEL: model } = process.env

export async function runCases(cases) {
  for (const [name, run] of Object.entries(cases)) {
    if (only.length && !only.includes(name.split(': ').at(-1))) continue
    let result
    try {
      result = await run()
    } catch (error) {
      console.error(error)
      result = { error: error.constructor.name, status: error.status ?? null }
    }
    console.log(JSON.stringify({ case: name, result: result ?? null }))
  }
}

export async function textOf(stream) {
  let text = ''
  for await (const part of stream) text += part
  return text
}
