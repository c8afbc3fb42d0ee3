"""TRL's formats: `messages`, `prompt` with `completion`, and `prompt` with `chosen` and `rejected`, or without it."""

from collections.abc import Callable
from typing import Any

from domain import exact_json
from domain.conversations import Message
from domain.line_formats.item_values import messages_of_pair
from domain.line_formats.lines import (
    CannotHold,
    Converted,
    Line,
    NotUnderstood,
    check_is_text,
    keys_beside,
)
from domain.line_formats.plain_turns import asked_and_answers, check_no_parallel
from domain.line_formats.tools import CallIds, ids_of_calls, tools_of

ANSWERS = ("chosen", "rejected")


def read(line: Line) -> Converted:
    """The line in OpenAI's format; raises `NotUnderstood`."""
    check_is_text(line)
    if isinstance(line.get("label"), bool):
        raise NotUnderstood(
            "The line has `label`: answers that are marked as good or bad one by one cannot be learned, but pairs of "
            "a better and a worse answer can."
        )
    if any(name in line for name in ANSWERS):
        return _preference(line)
    if "completion" in line or ("prompt" in line and "messages" not in line):
        return _prompt_and_completion(line)
    messages = _current_messages(_list_of(line, "messages"))
    return Converted(_conversation(line, messages), keys_beside(line, ("messages", "tools")))


def write(line: Line) -> dict[str, Any]:
    """The line of one in OpenAI's format; raises `CannotHold`."""
    if "prompt" in line:
        question, answer = messages_of_pair(line["prompt"], line["completion"])
        return {"prompt": [question], "completion": [answer]}
    asked, answers = asked_and_answers(line)
    check_no_parallel(asked)
    tools = {} if asked.get("tools") is None else {"tools": asked["tools"]}
    messages = asked["messages"]
    if answers:
        if any(answer.get("weight") == 0 for answer in answers.values()):
            raise CannotHold("an answer of the pair has the weight 0")
        prompt = {"prompt": list(map(_written, messages))}
        return prompt | {name: [_written(answer)] for name, answer in answers.items()} | tools
    return _with_weights(messages) | tools


def _with_weights(messages: list[Message]) -> dict[str, Any]:
    """Messages, or a prompt and a completion where only the answers from one on are learned."""
    written = list(map(_written, messages))
    answers = [index for index, message in enumerate(messages) if message.get("role") == "assistant"]
    left_out = [index for index in answers if messages[index].get("weight") == 0]
    if not left_out:
        return {"messages": written}
    first = next((index for index in answers if index not in left_out), len(messages))
    if first == len(messages) or left_out[-1] > first:
        raise CannotHold(
            f"message {left_out[-1] + 1} has the weight 0 and is not before all that are learned"
        )
    return {"prompt": written[:first], "completion": written[first:]}


def _written(message: Message) -> Message:
    """A message without its weight, and with arguments of tool calls as objects where they are the same text again."""
    found = {name: value for name, value in message.items() if name != "weight"}
    if isinstance(found.get("tool_calls"), list):
        found["tool_calls"] = [_with_arguments(call, _as_object) for call in found["tool_calls"]]
    return found


def _with_arguments(call: Any, change: Callable[[Any], Any]) -> Any:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or "arguments" not in function:
        return call
    return {**call, "function": {**function, "arguments": change(function["arguments"])}}


def _as_object(arguments: Any) -> Any:
    try:
        value = exact_json.loads(arguments)
        return value if isinstance(value, dict) and exact_json.dumps(value) == arguments else arguments
    except (ValueError, TypeError):
        return arguments


def _as_text(arguments: Any) -> Any:
    return exact_json.dumps(arguments) if isinstance(arguments, dict) else arguments


def _prompt_and_completion(line: Line) -> Converted:
    ignored = keys_beside(line, ("prompt", "completion", "tools"))
    if isinstance(line.get("prompt"), str) and isinstance(line.get("completion"), str):
        return Converted({"prompt": line["prompt"], "completion": line["completion"]}, ignored)
    prompt, completion = _list_of(line, "prompt"), _list_of(line, "completion")
    messages = _current_messages(prompt + completion)
    asked = [
        {**message, "weight": 0} if message.get("role") == "assistant" else message for message in messages
    ]
    learned = asked[: len(prompt)] + messages[len(prompt) :]
    return Converted(_conversation(line, learned), ignored)


def _preference(line: Line) -> Converted:
    prompt, chosen, rejected = _pair(line)
    ends = [_current_messages([*prompt, answer]) for answer in (chosen, rejected)]
    pair = {
        "input": _conversation(line, ends[0][:-1]),
        "preferred_output": ends[0][-1:],
        "non_preferred_output": ends[1][-1:],
    }
    return Converted(pair, keys_beside(line, ("prompt", "tools", *ANSWERS)))


def _pair(line: Line) -> tuple[list[Any], Any, Any]:
    """The messages that are asked, and the two that answer them."""
    chosen, rejected = (_answers(line, name) for name in ANSWERS)
    prompt = line.get("prompt")
    if len(chosen) == len(rejected) == 1 and prompt is not None:
        return _prompt_of(prompt), chosen[0], rejected[0]
    if len(chosen) == 1 or chosen[:-1] != rejected[:-1]:
        raise NotUnderstood(
            "The line is preference data without a prompt: `chosen` and `rejected` are one message each, or differ in "
            "more than the last one."
        )
    if prompt is not None and not _is_asked_in(prompt, chosen[:-1]):
        raise NotUnderstood("`prompt` is not what `chosen` and `rejected` begin with.")
    return chosen[:-1], chosen[-1], rejected[-1]


def _answers(line: Line, name: str) -> list[Any]:
    answer = line.get(name)
    if isinstance(answer, str):
        return [{"role": "assistant", "content": answer}]
    return _list_of(line, name)


def _prompt_of(prompt: Any) -> list[Any]:
    return (
        [{"role": "user", "content": prompt}]
        if isinstance(prompt, str)
        else _list_of({"prompt": prompt}, "prompt")
    )


def _is_asked_in(prompt: Any, messages: list[Any]) -> bool:
    """Whether a prompt, a text or messages, is what messages ask, which some sets have twice."""
    if isinstance(prompt, str):
        return isinstance(messages[-1], dict) and messages[-1].get("content") == prompt
    return bool(prompt == messages)


def _list_of(line: Line, name: str) -> list[Any]:
    value = line.get(name)
    if not isinstance(value, list) or not value:
        raise NotUnderstood(
            f"`{name}` is not a list of messages." if name in line else f"The line has no `{name}`."
        )
    return value


def _current_messages(messages: list[Any]) -> list[Message]:
    """Messages whose tool calls have ids, and arguments as text, and whose tool results have the ids of their calls."""
    ids = CallIds(ids_of_calls(messages))
    return [_current_message(message, index, ids) for index, message in enumerate(messages)]


def _current_message(message: Any, index: int, ids: CallIds) -> Message:
    if not isinstance(message, dict):
        raise NotUnderstood("is not an object.", index)
    found = dict(message)
    if isinstance(found.get("tool_calls"), list):
        found["tool_calls"] = [_with_id(_with_arguments(call, _as_text), ids) for call in found["tool_calls"]]
    if found.get("role") == "tool" and found.get("tool_call_id") is None:
        name = found.get("name")
        found["tool_call_id"] = ids.answered(index, name if isinstance(name, str) else None)
    ids.record(found)
    return found


def _with_id(call: Any, ids: CallIds) -> Any:
    if not isinstance(call, dict) or call.get("id") is not None:
        return call
    return {
        "id": ids.new(),
        "type": "function",
        **{name: value for name, value in call.items() if name != "id"},
    }


def _conversation(line: Line, messages: list[Message]) -> dict[str, Any]:
    tools = line.get("tools")
    return {"messages": messages} if tools in (None, "") else {"messages": messages, "tools": tools_of(tools)}
