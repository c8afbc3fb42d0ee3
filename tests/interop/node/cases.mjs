// Runs the cases of a program, and prints the result of each as a line of JSON.
export const { BASE_URL: baseURL, API_KEY: apiKey, MODEL: model } = process.env

export async function runCases(cases) {
  for (const [name, run] of Object.entries(cases)) {
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
