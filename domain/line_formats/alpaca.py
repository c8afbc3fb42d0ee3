"""Alpaca's format: instruction, input and output, as LLaMA-Factory extends it with system, history and pairs of answers."""

from typing import Any

from domain.conversations import Message
from domain.line_formats.item_values import messages_of_pair
from domain.line_formats.lines import (
    CannotHold,
    Converted,
    Line,
    NotUnderstood,
    check_is_text,
    keys_beside,
    optional_text_of,
    text_of,
)
from domain.line_formats.plain_turns import (
    alternating,
    asked_and_answers,
    check_keys,
    check_no_parallel,
    content_of,
)
from domain.line_formats.tools import tools_of

SEPARATOR = "\n"
"""Between the instruction and the input below it, as LLaMA-Factory has it."""
ANSWERS = ("chosen", "rejected")
KEYS = ("instruction", "input", "output", "system", "history", "tools", *ANSWERS)


def read(line: Line) -> Converted:
    """The line in OpenAI's format; raises `NotUnderstood`."""
    check_is_text(line)
    question = SEPARATOR.join(filter(None, (text_of(line, "instruction"), optional_text_of(line, "input"))))
    context = _system(line) + _history(line)
    ignored = keys_beside(line, KEYS)
    tools = {} if line.get("tools") in (None, "") else {"tools": tools_of(line["tools"])}
    if any(name in line for name in ANSWERS):
        return Converted(_preference(line, question, context, tools), ignored)
    answer = text_of(line, "output")
    if not context and not tools:
        return Converted({"prompt": question, "completion": answer}, ignored)
    return Converted({"messages": context + messages_of_pair(question, answer), **tools}, ignored)


def write(line: Line) -> dict[str, Any]:
    """The line of one in OpenAI's format; raises `CannotHold`."""
    if "prompt" in line:
        return {"instruction": line["prompt"], "input": "", "output": line["completion"]}
    asked, answers = asked_and_answers(line)
    check_no_parallel(asked)
    if asked.get("tools"):
        raise CannotHold("it has `tools`")
    messages = asked["messages"]
    if not answers:
        messages, answers = messages[:-1], {"output": messages[-1]}
    system = _system_text(messages)
    turns = [_text(message, index) for index, message in alternating(messages, 0 if system is None else 1)]
    if len(turns) % 2 == 0:
        raise CannotHold("its last message but one is not the user's")
    found = {"instruction": turns.pop(), "input": ""} | _answer_texts(answers, len(messages))
    if system is not None:
        found["system"] = system
    if turns:
        found["history"] = [list(turn) for turn in zip(turns[::2], turns[1::2], strict=True)]
    return found


def _system(line: Line) -> list[Message]:
    system = optional_text_of(line, "system")
    return [{"role": "system", "content": system}] if system else []


def _history(line: Line) -> list[Message]:
    history = line.get("history")
    if history is None:
        return []
    if not isinstance(history, list):
        raise NotUnderstood("`history` is not a list.")
    return [message for number, turn in enumerate(history, 1) for message in _turn(number, turn)]


def _turn(number: int, turn: Any) -> list[Message]:
    if not isinstance(turn, list) or len(turn) != 2 or not all(isinstance(text, str) for text in turn):
        raise NotUnderstood(
            f"Turn {number} of `history` is not a list of two texts, a question and its answer."
        )
    return messages_of_pair(*turn)


def _preference(line: Line, question: str, context: list[Message], tools: dict[str, Any]) -> dict[str, Any]:
    if optional_text_of(line, "output"):
        raise NotUnderstood("The line has both `output` and `chosen` or `rejected`.")
    preferred, rejected = ([{"role": "assistant", "content": text_of(line, name)}] for name in ANSWERS)
    asked = {"messages": [*context, {"role": "user", "content": question}], **tools}
    return {"input": asked, "preferred_output": preferred, "non_preferred_output": rejected}


def _system_text(messages: list[Message]) -> str | None:
    """The text of the system message at the beginning; None where there is none."""
    if not messages or messages[0].get("role") != "system":
        return None
    text = _text(messages[0], 0)
    if not text:
        raise CannotHold("message 1 is an empty system message")
    return text


def _answer_texts(answers: dict[str, Message], index: int) -> dict[str, Any]:
    for answer in answers.values():
        if answer.get("role") != "assistant":
            raise CannotHold(f"message {index + 1} is not the assistant's")
    return {name: _text(answer, index) for name, answer in answers.items()}


def _text(message: Message, index: int) -> str:
    check_keys(message, index, {"content"})
    return content_of(message, index)
