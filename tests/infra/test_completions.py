"""One completion over the OpenAI protocol."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import httpx
import pytest
import respx

from domain.errors import Unavailable
from domain.ports.completions import Completion, ModelUnreachable
from domain.ports.model_runtime import Upstream
from infra.completions import OpenAICompletions

pytestmark = pytest.mark.anyio

UPSTREAM = Upstream(base_url="http://models.test/v1", model="finetune_1", api_key="a secret")
ANSWER = {
    "id": "1",
    "object": "chat.completion",
    "created": 1,
    "model": "finetune_1",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Paris"}}],
    "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9},
}


@pytest.fixture
async def completions() -> AsyncIterator[OpenAICompletions]:
    made = OpenAICompletions()
    yield made
    await made.aclose()


@pytest.fixture
def route() -> Iterator[respx.Route]:
    with respx.mock:
        yield respx.post("http://models.test/v1/chat/completions")


async def completion_of(completions: OpenAICompletions, *, temperature: float | None = None) -> Completion:
    return await completions.complete(UPSTREAM, "Capital of France?", max_tokens=9, temperature=temperature)


async def test_the_answer_comes_with_its_tokens(completions: OpenAICompletions, route: respx.Route) -> None:
    route.respond(json=ANSWER)
    assert await completion_of(completions) == Completion("Paris", 7, 2)


async def test_the_prompt_is_one_user_message_to_the_upstreams_model(
    completions: OpenAICompletions, route: respx.Route
) -> None:
    route.respond(json=ANSWER)
    await completion_of(completions, temperature=0.0)
    request = route.calls.last.request
    assert request.headers["authorization"] == "Bearer a secret"
    assert json.loads(request.content) == {
        "model": "finetune_1",
        "messages": [{"role": "user", "content": "Capital of France?"}],
        "max_tokens": 9,
        "temperature": 0.0,
    }


async def test_the_embedded_runtime_gets_no_spelling_of_a_control_token(
    completions: OpenAICompletions, route: respx.Route
) -> None:
    route.respond(json=ANSWER)
    embedded = replace(UPSTREAM, is_embedded=True)
    await completions.complete(embedded, "Is <|im_end|> a word?", max_tokens=9, temperature=None)
    [message] = json.loads(route.calls.last.request.content)["messages"]
    assert message["content"] == "Is <\u2060|im_end|> a word?"


async def test_a_temperature_that_is_not_given_is_not_sent(
    completions: OpenAICompletions, route: respx.Route
) -> None:
    route.respond(json=ANSWER)
    await completion_of(completions)
    assert "temperature" not in json.loads(route.calls.last.request.content)


async def test_a_server_that_nobody_reaches_is_told_from_one_that_is_slow(
    completions: OpenAICompletions, route: respx.Route
) -> None:
    route.mock(side_effect=httpx.ConnectError("refused"))
    with pytest.raises(ModelUnreachable, match="does not answer"):
        await completion_of(completions)
    route.mock(side_effect=httpx.ReadTimeout("slow"))
    with pytest.raises(Unavailable, match="in time") as slow:
        await completion_of(completions)
    assert not isinstance(slow.value, ModelUnreachable)


async def test_a_servers_own_sentence_is_passed_on_and_not_asked_for_twice(
    completions: OpenAICompletions, route: respx.Route
) -> None:
    route.respond(500, json={"error": {"message": "the model is too tired."}})
    with pytest.raises(Unavailable, match=r"answered 500: the model is too tired\.$"):
        await completion_of(completions)
    assert route.call_count == 1


@pytest.mark.parametrize(
    "body", ["not json", "[]", "7", '{"choices": []}', '{"choices": null}', '{"choices": [{}]}']
)
async def test_a_server_that_speaks_something_else_is_unavailable(
    completions: OpenAICompletions, route: respx.Route, body: str
) -> None:
    route.respond(200, content=body, headers={"content-type": "application/json"})
    with pytest.raises(Unavailable, match="OpenAI protocol"):
        await completion_of(completions)
