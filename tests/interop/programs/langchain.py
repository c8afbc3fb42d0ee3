"""langchain-openai."""

from cases import API_KEY, BASE_URL, MODEL, PROMPT, case, main
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAI
from openai import APIError
from pydantic import BaseModel

llm = ChatOpenAI(base_url=BASE_URL, api_key=API_KEY, model=MODEL)
WEATHER = "What is the weather in 'Kyoto'?"


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"It is sunny in {city}."


class City(BaseModel):
    """A city."""

    name: str
    population: int


@case
def chat():
    message = llm.invoke(PROMPT)
    return [message.text, message.usage_metadata["total_tokens"], message.response_metadata["model_name"]]


@case
def stream():
    chunks = list(llm.stream(PROMPT))
    return ["".join(chunk.text for chunk in chunks), len(chunks) > 3]


@case
async def asynchronous():
    return (await llm.ainvoke(PROMPT)).text


@case
def tool_loop():
    with_tools = llm.bind_tools([get_weather])
    messages = [HumanMessage(WEATHER)]
    messages.append(with_tools.invoke(messages))
    messages += [get_weather.invoke(call) for call in messages[-1].tool_calls]
    return with_tools.invoke(messages).text


@case
def tools_streamed():
    first, *rest = llm.bind_tools([get_weather], tool_choice="any").stream(WEATHER)
    return [call["args"] for call in sum(rest, first).tool_calls]


@case
def structured_output():
    return llm.with_structured_output(City).invoke("'Kyoto' has 1460000 inhabitants.").model_dump()


@case
def structured_output_by_tool():
    chain = llm.with_structured_output(City, method="function_calling")
    return chain.invoke("'Kyoto' has 1460000 inhabitants.").model_dump()


@case
def logprobs():
    message = llm.bind(logprobs=True).invoke(PROMPT)
    return [entry["token"] for entry in message.response_metadata["logprobs"]["content"]]


@case
def completions_legacy():
    return OpenAI(base_url=BASE_URL, api_key=API_KEY, model=MODEL).invoke("Once")


@case
def broken_stream():
    try:
        list(llm.stream("one two three four five [fault: breaks_off]"))
    except APIError:
        return "APIError"


main()
