"""openai-python, of any major version."""

import json

import httpx
import openai
from cases import API_KEY, BASE_URL, MODEL, PROMPT, case, main
from pydantic import BaseModel

client = openai.OpenAI(base_url=BASE_URL, api_key=API_KEY)
HELLO = [{"role": "user", "content": PROMPT}]
WEATHER = [{"role": "user", "content": "What is the weather in 'Kyoto'?"}]
GET_WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
GET_TIME = {
    "type": "function",
    "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}}},
}
TOOLS = [GET_WEATHER, GET_TIME]


class City(BaseModel):
    """A structured output."""

    name: str
    population: int


def chat(messages=HELLO, **options):
    return client.chat.completions.create(model=MODEL, messages=messages, **options)


def calls_of(completion):
    [choice] = completion.choices
    calls = choice.message.tool_calls or []
    return choice.finish_reason, [[call.function.name, call.function.arguments] for call in calls]


def error_of(call):
    try:
        call()
    except openai.APIError as error:
        return [type(error).__name__, error.code, (error.param or "").partition("[")[0]]


@case
def version():
    return "openai-" + openai.__version__.split(".")[0]


@case
def chat_whole():
    completion = chat()
    [choice] = completion.choices
    usage = completion.usage
    return [
        choice.message.content,
        choice.finish_reason,
        completion.model == MODEL,
        usage.prompt_tokens,
        usage.completion_tokens,
    ]


@case
def chat_stream():
    chunks = list(chat(stream=True, stream_options={"include_usage": True}))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    return [text, len(chunks) > 3, chunks[-1].usage.total_tokens]


@case
async def chat_asynchronous():
    async with openai.AsyncOpenAI(base_url=BASE_URL, api_key=API_KEY) as asynchronous:
        stream = await asynchronous.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])


@case
def answered_model_may_be_sent_back():
    again = client.chat.completions.create(model=chat().model, messages=HELLO)
    return again.choices[0].message.content


@case
def models_list():
    return [model.id for model in client.models.list()]


@case
def models_retrieve():
    return client.models.retrieve(MODEL).id


@case
def models_retrieve_raw():
    response = httpx.get(f"{BASE_URL}/models/{MODEL}", headers={"authorization": f"Bearer {API_KEY}"})
    return [response.status_code, response.json()["id"]]


@case
def tools_auto():
    return calls_of(chat(WEATHER, tools=TOOLS))


@case
def tools_required():
    return calls_of(chat(tools=TOOLS, tool_choice="required"))


@case
def tools_named():
    return calls_of(chat(tools=TOOLS, tool_choice={"type": "function", "function": {"name": "get_time"}}))


@case
def tools_none():
    return calls_of(chat(WEATHER, tools=TOOLS, tool_choice="none"))


@case
def tools_stream():
    with client.chat.completions.stream(model=MODEL, messages=WEATHER, tools=TOOLS) as stream:
        return calls_of(stream.get_final_completion())


@case
def tool_loop():
    message = chat(WEATHER, tools=TOOLS).choices[0].message
    answer = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "It is sunny."}
    return chat([*WEATHER, message, answer], tools=TOOLS).choices[0].message.content


@case
def structured_parse():
    messages = [{"role": "user", "content": "The city 'Kyoto' has 1460000 inhabitants."}]
    completion = client.chat.completions.parse(model=MODEL, messages=messages, response_format=City)
    return completion.choices[0].message.parsed.model_dump()


@case
def structured_stream():
    with client.chat.completions.stream(model=MODEL, messages=HELLO, response_format=City) as stream:
        return stream.get_final_completion().choices[0].message.parsed.model_dump()


@case
def json_mode():
    messages = [{"role": "user", "content": "JSON with the key 'name'"}]
    return json.loads(chat(messages, response_format={"type": "json_object"}).choices[0].message.content)


@case
def two_choices():
    completion = chat(n=2)
    return [[choice.index for choice in completion.choices], completion.usage.completion_tokens]


@case
def two_choices_streamed():
    return sorted({choice.index for chunk in chat(n=2, stream=True) for choice in chunk.choices})


@case
def stop_and_length():
    stopped, cut = chat(stop=["Hel"]), chat(max_tokens=1)
    return [[answer.choices[0].message.content, answer.choices[0].finish_reason] for answer in (stopped, cut)]


@case
def logprobs():
    [choice] = chat(logprobs=True, top_logprobs=2).choices
    return [[entry.token, len(entry.top_logprobs)] for entry in choice.logprobs.content]


@case
def completions_legacy():
    completion = client.completions.create(model=MODEL, prompt="Once")
    return [completion.choices[0].text, completion.usage.total_tokens]


@case
def completions_legacy_stream():
    stream = client.completions.create(model=MODEL, prompt="Once", stream=True)
    return "".join(chunk.choices[0].text for chunk in stream if chunk.choices)


@case
def completions_legacy_logprobs():
    found = (
        client.completions.create(model=MODEL, prompt="Once", logprobs=2, max_tokens=2).choices[0].logprobs
    )
    return [
        found.tokens,
        found.token_logprobs,
        [list(top) for top in found.top_logprobs],
        len(found.text_offset),
    ]


@case
def error_wrong_key():
    return error_of(client.with_options(api_key="lk_wrong").models.list)


@case
def error_unknown_model():
    return error_of(lambda: client.chat.completions.create(model="acme/another", messages=HELLO))


@case
def error_unknown_model_retrieved():
    return error_of(lambda: client.models.retrieve("acme/another"))


@case
def error_out_of_range():
    return error_of(lambda: chat(temperature=5))


@case
def error_too_many_stops():
    return error_of(lambda: chat(stop=["a", "b", "c", "d", "e", "f"]))


@case
def error_no_messages():
    return error_of(lambda: chat([]))


@case
def error_unknown_role():
    return error_of(lambda: chat([{"role": "wizard", "content": "Hello"}]))


@case
def error_no_embeddings():
    return error_of(lambda: client.embeddings.create(model=MODEL, input="Hello"))[0]


@case
def error_of_the_model_server():
    return error_of(lambda: chat([{"role": "user", "content": "[fault: 500]"}]))[0]


@case
def error_slow_model_server():
    impatient = client.with_options(timeout=0.5, max_retries=0)
    try:
        messages = [{"role": "user", "content": "[fault: slow]"}]
        impatient.chat.completions.create(model=MODEL, messages=messages)
    except openai.APITimeoutError:
        return "timeout"


@case
def retry_after_429():
    return (
        chat([{"role": "user", "content": f"[fault: 429] openai {openai.__version__}"}])
        .choices[0]
        .finish_reason
    )


def broken(fault):
    messages = [{"role": "user", "content": f"one two three four five [fault: {fault}]"}]
    try:
        list(chat(messages, stream=True))
    except openai.APIError:
        return "APIError"


@case
def stream_that_breaks_off():
    return broken("breaks_off")


@case
def stream_with_an_error_event():
    return broken("error_event")


main()
