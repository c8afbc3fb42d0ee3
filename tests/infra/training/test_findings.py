"""What fails silently elsewhere is counted, and the warning of it is one sentence."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trl
from safetensors.torch import load_file, save_file
from trl.chat_template_utils import is_chat_template_prefix_preserving, is_chat_template_stop_token_trained

from domain.conversations import Conversation, Message
from infra.training.base_model import LocalBaseModel, fetch_base_model
from infra.training.data import TokenizedSplit, cannot_train, tokenize
from infra.training.items_file import TrainingItem
from infra.training.stop_tokens import untrained_token_warnings

TEMPLATES = Path(trl.__file__).parent / "chat_templates"
PLAIN = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
ASKED: Message = {"role": "user", "content": "One?"}
ANSWER: Message = {"role": "assistant", "content": "It is one."}
TURNS: list[Message] = [
    ASKED,
    ANSWER,
    {"role": "user", "content": "Two?"},
    {"role": "assistant", "content": "Two."},
]
CALL = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
CALLED: list[Message] = [
    ASKED,
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "call_1", "content": "Two."},
    ANSWER,
]
TOOLS: list[Any] = [{"type": "function", "function": {"name": "add"}}]


@pytest.fixture
def base_model(models: Path) -> LocalBaseModel:
    """`luthier/tiny`, whose chat template a test may replace."""
    return fetch_base_model("luthier/tiny", models)


def tokenized(
    base_model: LocalBaseModel, template: str, conversation: Conversation, limit: int = 1000
) -> TokenizedSplit:
    base_model.tokenizer.chat_template = template
    return tokenize([TrainingItem("item_1", conversation)], base_model, limit)


def warnings(
    base_model: LocalBaseModel,
    template: str,
    messages: list[Message],
    limit: int = 1000,
    tools: list[Any] | None = None,
) -> list[str]:
    conversation = Conversation(messages=messages, tools=tools)
    return tokenized(base_model, template, conversation, limit).warnings("training", limit)


def trl_template(name: str) -> str:
    return (TEMPLATES / f"{name}.jinja").read_text()


def test_a_conversation_that_is_learned_whole_is_no_finding(base_model: LocalBaseModel) -> None:
    assert warnings(base_model, PLAIN, TURNS) == []
    assert warnings(base_model, trl_template("qwen2_5"), CALLED, tools=TOOLS) == []


def test_a_turn_beyond_the_limit_is_counted(base_model: LocalBaseModel) -> None:
    (whole,) = tokenized(base_model, PLAIN, Conversation(messages=TURNS)).texts
    limit = whole.turns[3].start
    assert warnings(base_model, PLAIN, TURNS, limit) == [
        f"1 training item was longer than {limit} tokens and was truncated.",
        f"In 1 training item an answer begins beyond {limit} tokens and is not learned.",
    ]


def test_an_item_whose_turns_all_have_weight_0_is_left_out(base_model: LocalBaseModel) -> None:
    split = tokenized(base_model, PLAIN, Conversation(messages=[ASKED, ANSWER | {"weight": 0}]))
    assert split.dropped == 1
    assert split.warnings("training", 1000) == [
        (
            "1 training item was left out: it has no assistant message to learn from, after another message and without "
            "weight 0."
        )
    ]


def test_an_item_that_the_template_refuses_is_left_out_with_the_templates_reason(
    base_model: LocalBaseModel,
) -> None:
    split = tokenized(base_model, trl_template("gemma"), Conversation(messages=[ASKED, ASKED, ANSWER]))
    sentence = (
        "1 training item was left out: the chat template refuses its messages (Conversation roles must alternate "
        "user/assistant/user/assistant/...)."
    )
    assert split.warnings("training", 1000) == [sentence]
    assert cannot_train(split, 1000) == f"No item can be trained on. {sentence}"


def test_answers_without_a_learned_stop_token_are_counted(base_model: LocalBaseModel) -> None:
    open_ended = PLAIN.replace(
        "<|im_end|>\n{% endfor", "{% if m['role'] != 'assistant' %}<|im_end|>\n{% endif %}{% endfor"
    )
    assert warnings(base_model, open_ended, TURNS[:2]) == [
        (
            "In 1 training item no stop token is learned at the end of an answer, because the chat template writes none; "
            "the model may not stop."
        )
    ]


def test_a_turn_that_the_template_leaves_out_is_counted(base_model: LocalBaseModel) -> None:
    first_two = PLAIN.replace("in messages", "in messages[:2]")
    split = tokenized(base_model, first_two, Conversation(messages=TURNS))
    assert split.warnings("training", 1000)[0] == (
        "In 1 training item the chat template leaves out a message; the model never sees it."
    )
    only_questions = PLAIN.replace("in messages", "in messages if m['role'] == 'user'")
    assert warnings(base_model, only_questions, TURNS[:2]) == [
        "1 training item was left out: the chat template leaves out its answer."
    ]


def test_reasoning_that_the_template_leaves_out_is_counted(base_model: LocalBaseModel) -> None:
    assert warnings(base_model, PLAIN, [ASKED, ANSWER | {"reasoning_content": "Hm."}]) == [
        "In 1 training item the chat template leaves out the reasoning of an answer, which is not learned."
    ]


def test_a_prompt_that_an_answer_changes_is_counted(base_model: LocalBaseModel) -> None:
    thinking = PLAIN.replace("assistant\n{% endif", "assistant\nthink{% endif")
    assert warnings(base_model, thinking, TURNS[:2]) == [
        (
            "In 1 training item the chat template renders the prompt differently when an answer follows; the model was "
            "trained on a prompt that differs from the one it is asked."
        )
    ]


@pytest.mark.parametrize(
    ("name", "messages"),
    [("qwen2_5", CALLED), ("qwen3", CALLED), ("qwen3_training", CALLED), ("phi3", TURNS)],
)
def test_a_template_that_does_not_preserve_prefixes_is_found_as_by_trl(
    base_model: LocalBaseModel, name: str, messages: list[Message]
) -> None:
    tools = TOOLS if messages is CALLED else None
    split = tokenized(base_model, trl_template(name), Conversation(messages=messages, tools=tools))
    preserving = is_chat_template_prefix_preserving(base_model.tokenizer)
    assert preserving == name.endswith(("2_5", "training"))
    assert split.warnings("training", 1000) == (
        []
        if preserving
        else [
            (
                "In 1 training item the chat template renders earlier answers differently once other messages follow; each "
                "of them is learned from a copy of the conversation that ends with it."
            )
        ]
    )
    assert len(split.items) == 1
    assert sum(len(text.turns) for text in split.texts) == 2


def test_tools_that_the_template_ignores_end_the_run_before_it_trains(base_model: LocalBaseModel) -> None:
    split = tokenized(base_model, PLAIN, Conversation(messages=TURNS, tools=TOOLS))
    assert cannot_train(split, 1000) == (
        "The base model's chat template does not render the tools or tool calls of 1 training item, so the fine-tuned "
        "model would never see them; choose another base model, or leave the tools out of the dataset."
    )


def test_a_template_that_renders_calls_alone_ignores_the_tools(base_model: LocalBaseModel) -> None:
    calls = "{% for call in m['tool_calls'] or [] %}{{ call['function']['name'] }}{% endfor %}"
    template = PLAIN.replace("<|im_end|>\n{% endfor", calls + "<|im_end|>\n{% endfor")
    split = tokenized(base_model, template, Conversation(messages=CALLED, tools=TOOLS))
    assert (cannot_train(split, 1000) or "").startswith(
        "The base model's chat template does not render the tools"
    )


def test_the_templates_own_marks_are_compared_with_the_labels(base_model: LocalBaseModel) -> None:
    marked = trl_template("qwen2_5_training")
    assert warnings(base_model, marked, TURNS) == []
    assert is_chat_template_stop_token_trained(base_model.tokenizer)
    without_end = (
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% if m['role'] == 'assistant' %}{% generation %}"
        "{{ m['content'] }}{% endgeneration %}{% else %}{{ m['content'] }}{% endif %}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    assert warnings(base_model, without_end, TURNS) == [
        "In 1 training item the chat template marks other tokens as the assistant's than those that are learned."
    ]


@pytest.mark.parametrize("row", ["zeros", "that of another token"])
def test_an_end_token_that_the_base_model_never_learned_is_named(
    base_model: LocalBaseModel, tmp_path: Path, row: str
) -> None:
    assert untrained_token_warnings(base_model) == []
    folder = Path(shutil.copytree(base_model.folder, tmp_path / "model"))
    weights = load_file(folder / "model.safetensors")
    start, end = base_model.tokenizer.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"])
    layer = weights["lm_head.weight"]
    layer[end] = 0.0 if row == "zeros" else layer[start]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    assert untrained_token_warnings(replace(base_model, folder=folder)) == [
        (
            "The base model never learned the token '<|im_end|>', which ends each answer, and LoRA does not train it: the "
            "fine-tuned model may not stop; the instruct version of the base model knows it."
        )
    ]
