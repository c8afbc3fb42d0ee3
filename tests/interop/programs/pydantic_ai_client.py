"""pydantic-ai."""

from cases import API_KEY, BASE_URL, MODEL, PROMPT, case, main
from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.exceptions import AgentRunError
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

model = OpenAIChatModel(MODEL, provider=OpenAIProvider(base_url=BASE_URL, api_key=API_KEY))


class City(BaseModel):
    """A city."""

    name: str
    population: int


def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"It is sunny in {city}."


@case
async def chat():
    result = await Agent(model).run(PROMPT)
    return result.output


@case
async def stream():
    async with Agent(model).run_stream(PROMPT) as result:
        return [text async for text in result.stream_text()][-1]


@case
async def tool_loop():
    result = await Agent(model, tools=[get_weather]).run("What is the weather in 'Kyoto'?")
    return result.output


@case
async def output_by_tool():
    result = await Agent(model, output_type=City).run("'Kyoto' has 1460000 inhabitants.")
    return result.output.model_dump()


@case
async def output_by_tool_after_a_tool():
    result = await Agent(model, output_type=City, tools=[get_weather]).run("What is the weather in 'Kyoto'?")
    return [result.output.population, len(result.all_messages())]


@case
async def output_by_schema():
    result = await Agent(model, output_type=NativeOutput(City)).run("'Kyoto' has 1460000 inhabitants.")
    return result.output.model_dump()


@case
async def broken_stream():
    try:
        async with Agent(model).run_stream("one two three four five [fault: breaks_off]") as result:
            [text async for text in result.stream_text()]
    except AgentRunError:
        return "AgentRunError"


main()
