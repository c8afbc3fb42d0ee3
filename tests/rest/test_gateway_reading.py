from typing import Any

import orjson
import pytest

from domain.errors import DomainError, ErrorCode
from domain.ports.model_runtime import Upstream
from rest.gateway._bodies import upstream_bodies
from rest.gateway._endpoints import CHAT
from rest.gateway._errors import OpenAIError, from_domain_error, from_upstream
from rest.gateway._events import MAX_EVENT, EventReader
from rest.gateway._records import CompletionRecord
from rest.gateway._requests import GatewayRequest

THEIRS = Upstream(base_url="http://127.0.0.1/v1", model="theirs")


def user(content: object) -> dict[str, object]:
    return {"role": "user", "content": content}


@pytest.mark.parametrize(
    ("body", "input"),
    [
        ({"prompt": "Say it"}, "Say it"),
        ({"prompt": ["one", "two"]}, "one\ntwo"),
        ({"prompt": [1, 2]}, "[1,2]"),
        ({}, ""),
        ({"messages": [user("first"), {"role": "assistant", "content": "a"}, user("last")]}, "last"),
        ({"messages": [user("asked"), {"role": "tool", "content": "result"}]}, "asked"),
        ({"messages": [user([{"type": "text", "text": "a"}, {"type": "image_url"}, {"text": "b"}])]}, "a\nb"),
        ({"messages": [user(None), "noise"]}, ""),
        ({"messages": []}, ""),
        ({"messages": "nonsense", "prompt": "p"}, "p"),
    ],
)
def test_the_input_is_the_prompt_or_the_last_message_of_the_user(body: dict[str, Any], input: str) -> None:
    assert GatewayRequest(CHAT, body).input == input


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({}, {}),
        ({"stream": False, "stream_options": None}, {"stream": False, "stream_options": None}),
        ({"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}),
        (
            {"stream": True, "stream_options": {"include_usage": False, "x": 1}},
            {"stream": True, "stream_options": {"include_usage": True, "x": 1}},
        ),
    ],
)
def test_only_the_model_and_a_streams_counts_are_changed_for_the_model_server(
    given: dict[str, Any], sent: dict[str, Any]
) -> None:
    request = GatewayRequest(CHAT, {"model": "mine"} | given)

    assert [orjson.loads(body.encode()) for body in upstream_bodies(request, THEIRS)] == [
        {"model": "theirs"} | sent
    ]
    assert request.body == {"model": "mine"} | given


def test_the_output_is_the_text_of_each_choice_in_its_order() -> None:
    record = CompletionRecord()
    for index, text in [(1, "b"), (0, "a"), (1, "B"), (0, None)]:
        record.add({"choices": [{"index": index, "delta": {"content": text}}]})

    assert record.output == "a\nbB"


@pytest.mark.parametrize(
    "part",
    [
        {},
        {"choices": None, "usage": 3, "error": None},
        {"choices": [None, {"message": "odd", "delta": 3, "index": "x", "finish_reason": 1}]},
        {"choices": [{"text": 5}], "usage": {"prompt_tokens": -1, "completion_tokens": 1e99}},
        {"choices": [{"delta": {"tool_calls": [None, {"function": None}, {"function": {}}, 3]}}]},
    ],
)
def test_an_answer_that_makes_no_sense_is_read_as_nothing(part: dict[str, Any]) -> None:
    record = CompletionRecord()

    record.add(part)

    assert (record.output, record.finish, record.error) == (None, None, None)
    assert (record.prompt_tokens, record.completion_tokens) == (None, None)


def test_an_event_without_end_is_given_up() -> None:
    events = EventReader(lambda data: data)

    assert events.feed(b"x" * MAX_EVENT) == b""
    with pytest.raises(OpenAIError, match="without end"):
        events.feed(b"x")


@pytest.mark.parametrize("code", list(ErrorCode))
def test_every_kind_of_refusal_has_a_status_and_a_code(code: ErrorCode) -> None:
    kind = type("Refused", (DomainError,), {"code": code})

    refusal = from_domain_error(kind("A sentence."))

    assert 400 <= refusal.status < 600
    assert refusal.error["code"]
    assert refusal.message == "A sentence."


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"3", b"<html>", b'{"error": []}', b'{"error": {"message": null}}']
)
def test_a_refusal_without_a_sentence_gets_one(body: bytes) -> None:
    assert from_upstream(500, body).message
