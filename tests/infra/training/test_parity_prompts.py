"""Which prompts the exported GGUF is compared on, and that its tool path is compared."""

import io
from pathlib import Path
from typing import Any

import pytest

from domain.conversations import Conversation, Message
from infra.training import parity
from infra.training.base_model import LocalBaseModel, fetch_base_model
from infra.training.data import tokenize
from infra.training.items_file import TrainingItem
from infra.training.parity_prompts import parity_prompts
from infra.training.reporter import Reporter
from infra.training.transcripts import asked_text, expected_output
from tests.infra.training.conftest import question_and_answer

CALL = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
CALLING: Message = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT: Message = {"role": "tool", "tool_call_id": "call_1", "content": "2"}
TOOLS: list[Any] = [{"type": "function", "function": {"name": "add"}}]
ASKED, ANSWER = question_and_answer("One?", "One.")
SYSTEM: Message = {"role": "system", "content": "Count."}
BARE = Conversation(messages=[ASKED, ANSWER])
TURNS = Conversation(messages=[SYSTEM, ASKED, ANSWER, ASKED, ANSWER])
CALLED = Conversation(messages=[ASKED, CALLING, RESULT, ANSWER], tools=TOOLS)


@pytest.fixture
def base_model(models: Path) -> LocalBaseModel:
    """`luthier/tiny`, whose chat template a test may replace."""
    return fetch_base_model("luthier/tiny", models)


def prompts_of(
    base_model: LocalBaseModel, conversations: list[Conversation], count: int
) -> list[Conversation]:
    items = [TrainingItem(f"item_{index}", conversation) for index, conversation in enumerate(conversations)]
    return parity_prompts(tokenize(items, base_model, 1000).items, count)


def test_every_kind_of_prompt_that_the_items_have_is_compared(base_model: LocalBaseModel) -> None:
    prompts = prompts_of(base_model, [*[BARE] * 100, TURNS, CALLED], 16)
    assert len(prompts) == 16
    shapes = [(len(prompt.messages), bool(prompt.tools)) for prompt in prompts]
    assert shapes == [(1, False)] * 12 + [(2, False), (4, False), (1, True), (3, True)]


def test_few_prompts_are_all_compared(base_model: LocalBaseModel) -> None:
    assert len(prompts_of(base_model, [BARE, TURNS], 16)) == 3
    assert prompts_of(base_model, [], 16) == []


def test_a_template_that_differs_for_tools_alone_fails(base_model: LocalBaseModel, tiny_gguf: Path) -> None:
    template = base_model.tokenizer.chat_template
    assert "<tool_response>" in template
    base_model.tokenizer.chat_template = template.replace("<tool_response>", "<tool_result>")
    prompts = [Conversation(messages=CALLED.messages[:3], tools=TOOLS), Conversation(messages=[ASKED])]
    merged = parity.merged_model_results(base_model, prompts, ["", ""])
    gguf = parity.gguf_results(tiny_gguf, prompts, 512, Reporter(io.BytesIO()))
    report = parity.compare(merged, gguf, base_model.tokenizer.bos_token)
    assert (report.template_matches, report.token_ids_match) == (False, False)
    assert (report.detail or "").startswith(
        "1 of 2 rendered templates differ, first for 'user: One?\\nassistant: add({\"a\": 1})\\ntool: 2'"
    )


def test_a_sample_shows_the_whole_conversation_and_what_the_model_has_to_write(
    base_model: LocalBaseModel,
) -> None:
    assert asked_text(Conversation(messages=[ASKED])) == "One?"
    assert asked_text(Conversation(messages=TURNS.messages[:2])) == "system: Count.\nuser: One?"
    assert expected_output(base_model, Conversation(messages=[ASKED]), ANSWER) == "One."
    assert expected_output(base_model, Conversation(messages=[ASKED], tools=TOOLS), CALLING) == (
        '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>'
    )
