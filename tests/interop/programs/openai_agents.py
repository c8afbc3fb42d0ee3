"""openai-agents, with the model of chat completions."""

from agents import (
    Agent,
    AgentOutputSchema,
    MultiProvider,
    OpenAIChatCompletionsModel,
    RunConfig,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from cases import API_KEY, BASE_URL, MODEL, PROMPT, case, main
from openai import APIError, AsyncOpenAI
from pydantic import BaseModel

set_tracing_disabled(True)
client = AsyncOpenAI(base_url=BASE_URL, api_key=API_KEY)
model = OpenAIChatCompletionsModel(model=MODEL, openai_client=client)


class City(BaseModel):
    """A city."""

    name: str
    population: int


@function_tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"It is sunny in {city}."


def agent(**options):
    return Agent(**{"name": "assistant", "model": model} | options)


@case
async def chat():
    return (await Runner.run(agent(), PROMPT)).final_output


@case
async def stream():
    result = Runner.run_streamed(agent(), PROMPT)
    kinds = [event.type async for event in result.stream_events()]
    return [result.final_output, kinds.count("raw_response_event") > 3]


@case
async def tool_loop():
    result = await Runner.run(agent(tools=[get_weather]), "What is the weather in 'Kyoto'?")
    return result.final_output


@case
async def structured_output():
    result = await Runner.run(agent(output_type=AgentOutputSchema(City)), "'Kyoto' has 1460000 inhabitants.")
    return result.final_output.model_dump()


@case
async def name_with_the_part_before_the_slash_as_provider():
    provider = MultiProvider(openai_client=client, openai_use_responses=False)
    name = "openai/" + MODEL.split("/")[1]
    result = await Runner.run(agent(model=name), PROMPT, run_config=RunConfig(model_provider=provider))
    return result.final_output


@case
async def broken_stream():
    result = Runner.run_streamed(agent(), "one two three four five [fault: breaks_off]")
    try:
        [event async for event in result.stream_events()]
    except APIError:
        return "APIError"


main()
