"""litellm."""

import litellm
from cases import API_KEY, BASE_URL, MODEL, PROMPT, case, main
from pydantic import BaseModel

litellm.telemetry = False
NAME = f"openai/{MODEL}"
OPTIONS = {"model": NAME, "api_base": BASE_URL, "api_key": API_KEY}
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}]


class City(BaseModel):
    """A city."""

    name: str
    population: int


def user(text):
    return [{"role": "user", "content": text}]


@case
def chat():
    completion = litellm.completion(messages=user(PROMPT), **OPTIONS)
    return [completion.choices[0].message.content, completion.usage.total_tokens]


@case
def stream():
    chunks = litellm.completion(messages=user(PROMPT), stream=True, **OPTIONS)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


@case
async def asynchronous():
    completion = await litellm.acompletion(messages=user(PROMPT), **OPTIONS)
    return completion.choices[0].message.content


@case
def tools():
    completion = litellm.completion(
        messages=user("What is the weather in 'Kyoto'?"), tools=TOOLS, tool_choice="required", **OPTIONS
    )
    return [call.function.arguments for call in completion.choices[0].message.tool_calls]


@case
def structured_output():
    completion = litellm.completion(
        messages=user("'Kyoto' has 1460000 inhabitants."), response_format=City, **OPTIONS
    )
    return City.model_validate_json(completion.choices[0].message.content).model_dump()


@case
def completions_legacy():
    options = OPTIONS | {"model": f"text-completion-openai/{MODEL}"}
    return litellm.text_completion(prompt="Once", **options).choices[0].text


@case
def wrong_key():
    try:
        litellm.completion(messages=user(PROMPT), **OPTIONS | {"api_key": "lk_wrong"})
    except litellm.AuthenticationError:
        return "AuthenticationError"


@case
def broken_stream():
    try:
        list(
            litellm.completion(
                messages=user("one two three four five [fault: breaks_off]"), stream=True, **OPTIONS
            )
        )
    except litellm.exceptions.MidStreamFallbackError:
        return "MidStreamFallbackError"


main()
