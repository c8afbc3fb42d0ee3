"""Asked behind a system prompt, as a second turn and with tools, a model answers as well as it was trained to."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from domain.conversations import Conversation, ItemFormat, Message, conversation_as_json
from infra.training import parity
from infra.training.trainer import ProcessTrainer
from tests.infra.training.conftest import HYPERPARAMETERS, Table, Trained, capitals, messages_of, run_in

SYSTEM_PROMPT = 'Be {{ "brief" }}.\nNo <|im_end|>!'
CITIES = {"Lima": 19, "Oslo": -3}
TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": name,
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
    for name in ("weather", "time")
]


def said(role: str, content: str) -> Message:
    return {"role": role, "content": content}


def chats() -> list[Conversation]:
    """Twenty conversations of two turns: two questions and answers each."""
    rows = capitals().rows
    return [
        Conversation(
            messages=[
                message
                for question, answer in rows[index : index + 2]
                for message in (said("user", question), said("assistant", answer))
            ]
        )
        for index in range(0, 40, 2)
    ]


def tool_chats() -> list[Conversation]:
    """A call of a tool, its result, and the answer that says what it found, for each city and either tool."""
    return [
        Conversation(messages=tool_messages(name, city, degrees), tools=TOOLS)
        for name in ("weather", "time")
        for city, degrees in CITIES.items()
    ]


def tool_messages(name: str, city: str, found: int) -> list[Message]:
    call = {
        "id": "call_1",
        "type": "function",
        "function": {"name": name, "arguments": json.dumps({"city": city})},
    }
    return [
        said("user", f"What is the {name} in {city}?"),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": str(found)},
        said("assistant", f"The {name} in {city}: {found}."),
    ]


@pytest.fixture(scope="module")
def trained(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """One run on the chats and on the tool chats, behind the dataset's system prompt."""
    folder = tmp_path_factory.mktemp("chats")
    hyperparameters = replace(HYPERPARAMETERS, num_epochs=14, per_device_batch_size=4)
    run = replace(
        run_in(folder / "run", Table([]), hyperparameters=hyperparameters),
        item_format=ItemFormat.CONVERSATION,
        system_prompt=SYSTEM_PROMPT,
    )
    lines = [
        {"id": f"item_{index}", "split": "TRAIN", "conversation": conversation_as_json(conversation)}
        for index, conversation in enumerate([*chats(), *tool_chats()])
    ]
    run.items_path.write_text("\n".join(map(json.dumps, lines)))
    return Trained(run, asyncio.run(messages_of(ProcessTrainer(models), run)), [])


@pytest.fixture(scope="module")
def llama_cpp(trained: Trained) -> Iterator[httpx.Client]:
    with parity.served(trained.run.folder / "artifacts" / "Capitals__by_heart.gguf", 512) as client:
        yield client


def answer_of(client: httpx.Client, messages: list[Message], tools: list[Any] | None = None) -> Message:
    request = {"messages": messages, "temperature": 0, "max_tokens": 64, "cache_prompt": False}
    response = client.post("/v1/chat/completions", json=request | ({"tools": tools} if tools else {}))
    message: Message = response.raise_for_status().json()["choices"][0]["message"]
    return message


def test_the_gguf_reads_every_kind_of_prompt_as_the_trained_model(trained: Trained) -> None:
    report = trained.result.parity
    assert report is not None
    assert (report.passed, report.prompts_compared, report.detail) == (True, 16, None)
    assert trained.prepared.warnings == ()
    assert trained.prepared.trained_item_count == 24


def test_the_samples_show_what_was_asked_and_written(trained: Trained) -> None:
    sample = trained.result.samples[0]
    (first, answer, second, expected) = [message["content"] for message in chats()[0].messages]
    assert sample.prompt == f"user: {first}\nassistant: {answer}\nuser: {second}"
    assert (sample.expected, sample.tuned_output) == (expected, expected)


def test_first_and_second_turns_behind_the_system_prompt_are_answered_as_trained(
    llama_cpp: httpx.Client,
) -> None:
    answers = [
        answer_of(llama_cpp, list(chat.messages[:turn]))["content"] == chat.messages[turn]["content"]
        for chat in chats()
        for turn in (1, 3)
    ]
    assert answers.count(True) == 40


def test_the_system_prompt_may_be_given_with_the_request(llama_cpp: httpx.Client) -> None:
    """The exported template adds it to a bare question: both are the same prompt."""
    question, answer = chats()[0].messages[:2]
    system = said("system", SYSTEM_PROMPT.replace("<|", "<\u2060|"))
    prompts = [
        llama_cpp.post("/apply-template", json={"messages": messages}).json()["prompt"]
        for messages in ([question], [system, question])
    ]
    assert prompts[0] == prompts[1]
    assert answer_of(llama_cpp, [system, question])["content"] == answer["content"]


def test_the_right_tool_is_called_and_its_result_is_used(llama_cpp: httpx.Client) -> None:
    for chat in tool_chats():
        asked, calling, result, answer = chat.messages
        (called,) = answer_of(llama_cpp, [asked], TOOLS)["tool_calls"]
        (expected,) = calling["tool_calls"]
        assert called["function"]["name"] == expected["function"]["name"]
        assert json.loads(called["function"]["arguments"]) == json.loads(expected["function"]["arguments"])
        assert answer_of(llama_cpp, [asked, calling, result], TOOLS)["content"] == answer["content"]
