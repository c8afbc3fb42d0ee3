"""Rules of conversations and preference pairs, as sentences about what breaks them. Messages are numbered from 1."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from domain.conversation_texts import content_texts, is_learned
from domain.conversations import CONVERSATION_FIELDS, PREFERENCE_FIELDS
from domain.message_checks import message_faults, message_name, shown, tool_names, tools_faults

PREFERRED, NON_PREFERRED = PREFERENCE_FIELDS[1:]
OPENING = ("system", "developer")
Messages = Sequence[dict[str, Any]]


def conversation_faults(conversation: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with a conversation to learn from, any JSON object; nothing where it can be learned."""
    faults = list(_part_faults(conversation))
    yield from faults
    if faults:
        return
    messages = conversation["messages"]
    yield from _order_faults(messages, frozenset(tool_names(conversation.get("tools"))))
    if messages[-1]["role"] != "assistant":
        yield f"{message_name(messages[-1], len(messages))} is the last; a conversation ends with an assistant message."
    elif not any(map(is_learned, messages)):
        yield f"{message_name(messages[-1], len(messages))} is not learned, nor is any other assistant message: all have the weight 0."


def preference_faults(preference: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with a preference pair, any JSON object; nothing where it can be learned."""
    faults = [*_asked_faults(preference.get("input")), *_output_faults(preference)]
    yield from faults
    if faults:
        return
    asked = preference["input"]
    messages, declared = asked["messages"], frozenset(tool_names(asked.get("tools")))
    yield from _order_faults(messages, declared, of=" of `input`")
    if messages[-1]["role"] not in {"user", "tool"}:
        yield f"{message_name(messages[-1], len(messages), ' of `input`')} is the last; the input ends with a user or tool message."
    for name in (PREFERRED, NON_PREFERRED):
        yield from _declaration_faults(f"Message 1 (assistant) of `{name}`", preference[name][0], declared)
    if _text_and_calls(preference[PREFERRED][0]) == _text_and_calls(preference[NON_PREFERRED][0]):
        yield f"Message 1 (assistant) of `{PREFERRED}` is the same as that of `{NON_PREFERRED}`."


def _part_faults(conversation: Mapping[str, Any], of: str = "") -> Iterator[str]:
    """What is wrong with the parts of a conversation, each by itself."""
    messages = conversation.get("messages")
    if isinstance(messages, list) and messages:
        for number, message in enumerate(messages, 1):
            yield from message_faults(message_name(message, number, of), message)
    else:
        yield f"`messages`{of} is not a list of messages, or an empty one."
    yield from tools_faults(conversation.get("tools"))
    if not isinstance(conversation.get("parallel_tool_calls"), bool | None):
        yield "`parallel_tool_calls` is neither true nor false."


def _asked_faults(asked: Any) -> Iterator[str]:
    if not isinstance(asked, dict):
        yield "`input` is not a JSON object with `messages`."
        return
    for key in asked:
        if key not in CONVERSATION_FIELDS:
            yield f"`input` has the unknown key {shown(key)}."
    yield from _part_faults(asked, " of `input`")


def _output_faults(preference: Mapping[str, Any]) -> Iterator[str]:
    for field_name in (PREFERRED, NON_PREFERRED):
        output = preference.get(field_name)
        if not isinstance(output, list) or len(output) != 1:
            yield f"`{field_name}` is not a list of one assistant message."
            continue
        name = message_name(output[0], 1, f" of `{field_name}`")
        faults = list(message_faults(name, output[0]))
        yield from faults
        if not faults and output[0]["role"] != "assistant":
            yield f"{name} is not an assistant message."
        elif not faults and not is_learned(output[0]):
            yield f"{name} has the weight 0, so that nothing would be learned from the pair."


def _text_and_calls(message: Mapping[str, Any]) -> object:
    """The content as one text, the reasoning and the called functions of a message, whatever its other keys."""
    calls = [call["function"] for call in message.get("tool_calls") or ()]
    return "".join(content_texts(dict(message))), message.get("reasoning_content") or "", calls


def _declaration_faults(name: str, message: Mapping[str, Any], declared: frozenset[str]) -> Iterator[str]:
    for call in message.get("tool_calls") or ():
        tool = call["function"]["name"]
        if not declared:
            yield f"{name} calls the tool {shown(tool)}, but there are no `tools`."
        elif tool not in declared:
            yield f"{name} calls the tool {shown(tool)}, which `tools` does not declare."


def _order_faults(messages: Messages, declared: frozenset[str], of: str = "") -> Iterator[str]:
    """What is wrong with the order of messages, each of which is right by itself, and with their tool calls."""
    turns = _Turns()
    for number, message in enumerate(messages, 1):
        name = message_name(message, number, of)
        yield from turns.faults_of_next(name, message)
        yield from _declaration_faults(name, message, declared)
    if messages[-1]["role"] == "tool" and turns.unanswered:
        yield f"{message_name(messages[-1], len(messages), of)} is the last, but {turns.first_unanswered()} has no result."


@dataclass(slots=True)
class _Turns:
    """The turns of a conversation so far: the role of the last message, and the tool calls without a result by their ids."""

    last: str | None = None
    unanswered: dict[str, dict[str, Any]] = field(default_factory=dict)

    def first_unanswered(self) -> str:
        call = next(iter(self.unanswered.values()))
        return f"the call {shown(call['id'])} of the tool {shown(call['function']['name'])}"

    def faults_of_next(self, name: str, message: dict[str, Any]) -> Iterator[str]:
        role = message["role"]
        if role in OPENING:
            if self.last is not None:
                yield f"{name} stands behind another; only the first message may be of the role system or developer."
                return
        elif role == "tool":
            yield from self._faults_of_result(name, message)
        else:
            yield from self._faults_of_turn(name, role)
            self.unanswered = {call["id"]: call for call in message.get("tool_calls") or ()}
        self.last = role

    def _faults_of_turn(self, name: str, role: str) -> Iterator[str]:
        if self.unanswered:
            yield f"{name} comes before the result of {self.first_unanswered()}."
        elif role == "user" and self.last in {"user", "tool"}:
            yield f"{name} follows a {self.last} message; an assistant message has to stand between them."
        elif role == "assistant" and self.last == "assistant":
            yield f"{name} follows an assistant message; user and assistant alternate."
        elif role == "assistant" and self.last not in {"user", "tool"}:
            yield f"{name} has no message before it that it answers; the first is the user's, after a system message."

    def _faults_of_result(self, name: str, message: dict[str, Any]) -> Iterator[str]:
        id, tool = message["tool_call_id"], message.get("name")
        call = self.unanswered.pop(id, None)
        if call is None:
            yield f"{name} answers the call {shown(id)}, which is not one of the assistant message before it without a result."
            return
        if tool is not None and tool != call["function"]["name"]:
            yield f"{name} names the tool {shown(tool)}, but answers a call of {shown(call['function']['name'])}."
