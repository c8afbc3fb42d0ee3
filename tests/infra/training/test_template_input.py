"""What training renders is what the embedded llama.cpp renders for the same messages and tools."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trl
import xllamacpp

from domain.control_tokens import messages_without_control_tokens, tools_without_control_tokens
from domain.conversations import Conversation, Message
from domain.ports.trainer import TrainingFailed
from infra.training.base_model import LocalBaseModel, fetch_base_model
from infra.training.data import TEMPLATE_ERRORS
from infra.training.system_prompts import set_system_prompt, with_system_prompt
from infra.training.tiny import NAME

TEMPLATES = Path(trl.__file__).parent / "chat_templates"
NAMES = ("qwen2_5", "qwen3", "qwen3_5_think", "llama3_2", "gemma", "gemma3", "phi3", "deepseekv3", "gptoss")
SMOLLM2 = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}"
    "{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
ASKED: Message = {"role": "user", "content": "  Grüße, <b>?  "}
PARTS: Message = {
    "role": "user",
    "content": [{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}],
}
ANSWERED: Message = {"role": "assistant", "content": "Yes.", "reasoning_content": "Hm.", "weight": 0}
ARGUMENTS = '{"z": "é\\u0022", "a": 1.0, "n": [0.5, true, {}],"b":-3}'
CALL = {"id": "call_1", "type": "function", "function": {"name": "find", "arguments": ARGUMENTS}}
CALLING: Message = {"role": "assistant", "content": None, "refusal": None, "tool_calls": [CALL]}
RESULT: Message = {"role": "tool", "tool_call_id": "call_1", "content": '{"found": 2}'}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"z": {"type": "string", "description": "A <tool_call> 'é'"}, "a": {"minimum": 1e3}},
    "required": ["z"],
}
TOOL = {"type": "function", "function": {"name": "find", "strict": True, "parameters": SCHEMA}}
CONVERSATIONS = {
    "bare": Conversation(messages=[ASKED]),
    "system": Conversation(messages=[{"role": "system", "content": "Be brief."}, ASKED]),
    "developer": Conversation(messages=[{"role": "developer", "content": "Be brief."}, ASKED]),
    "parts": Conversation(messages=[PARTS]),
    "second turn": Conversation(messages=[ASKED, ANSWERED, ASKED]),
    "tools": Conversation(messages=[ASKED], tools=[TOOL]),
    "tool result": Conversation(messages=[ASKED, CALLING, RESULT], tools=[TOOL]),
    "control tokens": Conversation(messages=[{"role": "user", "content": "<|im_end|> [INST] <think>"}]),
}
ODD = (
    "\"quoted\" 'twice' `thrice` \\ \\n \\u0041 {{ messages }} {% if x %} {# y #} %} }} {%- raw %}\n"
    "two\nlines\r\nand\ttabs \u2028 日本 🎉👩‍👩‍👧 <|im_end|>\n<|im_start|>user"
)


@pytest.fixture
def base_model(models: Path) -> LocalBaseModel:
    """`luthier/tiny`, whose chat template each test replaces."""
    return fetch_base_model(NAME, models)


def use_template(base_model: LocalBaseModel, name: str) -> None:
    if name == "smollm2":
        base_model.tokenizer.chat_template = SMOLLM2
    elif name != NAME:
        base_model.tokenizer.chat_template = (TEMPLATES / f"{name}.jinja").read_text()


@contextmanager
def llama_cpp(gguf: Path, template: str) -> Iterator[httpx.Client]:
    parameters = xllamacpp.CommonParams()
    parameters.model.path, parameters.chat_template = str(gguf), template
    parameters.n_ctx, parameters.n_parallel, parameters.port = 256, 1, 0
    parameters.warmup = parameters.ui = False
    server = xllamacpp.Server(parameters)
    with httpx.Client(base_url=server.listening_address, timeout=60, trust_env=False) as client:
        yield client
    del server


def rendered_by_llama_cpp(client: httpx.Client, conversation: Conversation) -> str | None:
    """The rendered prompt without BOS, which the tokenizer adds; None where the template refuses the conversation."""
    messages = messages_without_control_tokens(conversation.messages)
    tools = tools_without_control_tokens(conversation.tools or [])
    response = client.post(
        "/apply-template", json={"messages": messages} | ({"tools": tools} if tools else {})
    )
    return str(response.json()["prompt"]).removeprefix("<s>") if response.is_success else None


def rendered_by_training(base_model: LocalBaseModel, conversation: Conversation) -> str | None:
    try:
        text = base_model.render(conversation, add_generation_prompt=True)
    except TEMPLATE_ERRORS:
        return None
    return text.removeprefix("<s>")


@pytest.mark.parametrize("name", [NAME, "smollm2", *NAMES])
def test_conversations_are_rendered_as_by_llama_cpp(
    base_model: LocalBaseModel, tiny_gguf: Path, name: str
) -> None:
    use_template(base_model, name)
    with llama_cpp(tiny_gguf, base_model.tokenizer.chat_template) as client:
        theirs = {key: rendered_by_llama_cpp(client, asked) for key, asked in CONVERSATIONS.items()}
    assert {key: rendered_by_training(base_model, asked) for key, asked in CONVERSATIONS.items()} == theirs
    assert theirs["bare"] is not None


@pytest.mark.parametrize("system_prompt", ["Plain.", ODD, "ends with \\"])
@pytest.mark.parametrize("name", [NAME, "qwen3"])
def test_a_system_prompt_of_any_text_stands_first_where_a_conversation_has_none(
    base_model: LocalBaseModel, tiny_gguf: Path, name: str, system_prompt: str
) -> None:
    use_template(base_model, name)
    system: Message = {"role": "system", "content": system_prompt}
    kinds = ("bare", "system", "developer", "second turn")
    expected = {key: base_model.render(CONVERSATIONS[key], add_generation_prompt=True) for key in kinds} | {
        key: base_model.render(
            Conversation(messages=[system, *CONVERSATIONS[key].messages]), add_generation_prompt=True
        )
        for key in ("bare", "second turn")
    }
    base_model.tokenizer.chat_template = with_system_prompt(base_model.tokenizer.chat_template, system_prompt)
    ours = {key: base_model.render(CONVERSATIONS[key], add_generation_prompt=True) for key in kinds}
    with llama_cpp(tiny_gguf, base_model.tokenizer.chat_template) as client:
        theirs = {key: rendered_by_llama_cpp(client, CONVERSATIONS[key]) for key in kinds}
    assert ours == expected
    assert theirs == expected


@pytest.mark.parametrize("template", ["gemma", "ignoring"])
def test_a_template_that_refuses_or_ignores_system_messages_takes_no_system_prompt(
    base_model: LocalBaseModel, template: str
) -> None:
    if template == "ignoring":
        base_model.tokenizer.chat_template = (
            "{% for m in messages if m['role'] != 'system' %}{{ m['content'] }}{% endfor %}"
        )
    else:
        use_template(base_model, template)
    with pytest.raises(TrainingFailed) as raised:
        set_system_prompt(base_model, "Be brief.")
    assert str(raised.value) == (
        "The base model's chat template does not render system messages, so the fine-tuned model would never read the "
        "dataset's system prompt; choose another base model, or put the text into the prompts."
    )
