"""Texts that spell a control token of a chat template, such as `<|im_end|>`, and how that spelling is broken."""

import re

CONTROL_TOKEN = re.compile(
    r"<[|\uff5c][^<>|\uff5c\s]{1,64}[|\uff5c]>"  # ChatML, Llama 3, Phi, Granite; DeepSeek with full-width bars
    r"|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|THINK|ARGS|CALL_ID)\]"
    r"|<</?SYS>>"
    r"|</?(?:s|think|tool_call|tool_response|tool_calls|tools|bos|eos|pad|unk|mask|start_of_turn|end_of_turn)>"
)
"""The control tokens of the chat templates of current model families."""
WORD_JOINER = "\u2060"


def control_token_in(text: str) -> str | None:
    """The first control token that a text spells; None where it spells none."""
    found = CONTROL_TOKEN.search(text)
    return found[0] if found else None


def without_control_tokens(text: str) -> str:
    """The text with one U+2060 (word joiner) after the first character of each spelling of a control token.

    A tokenizer then encodes the spelling as text. Training and the gateway of the embedded runtime both ask this.
    """
    return CONTROL_TOKEN.sub(lambda found: found[0][0] + WORD_JOINER + found[0][1:], text)
