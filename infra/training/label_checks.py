"""Checks of what is rendered and learned of a conversation, for faults that nothing else would show."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Self

from trl.chat_template_utils import has_generation_markers

from domain.control_tokens import messages_without_control_tokens
from domain.conversations import Conversation, Message
from infra.training.base_model import LocalBaseModel
from infra.training.findings import Finding
from infra.training.labels import IGNORED_LABEL, LabelledText, beginning, learned_turns

ANOTHER_NAME = "tool_a8f3e2b1"
ANOTHER_TOOL = {"type": "function", "function": {"name": ANOTHER_NAME}}


@dataclass(frozen=True, slots=True)
class LabelChecks:
    """The checks for one base model; `stop_ids` are the tokens that may end an answer."""

    base_model: LocalBaseModel
    stop_ids: frozenset[int]
    marks_answers: bool

    @classmethod
    def of(cls, base_model: LocalBaseModel) -> Self:
        """The checks for the base model's tokenizer and chat template."""
        tokenizer = base_model.tokenizer
        stop_ids = {*tokenizer.all_special_ids, *tokenizer.get_added_vocab().values()}
        return cls(base_model, frozenset(stop_ids), has_generation_markers(tokenizer.chat_template))

    def findings(self, conversation: Conversation, texts: list[LabelledText]) -> set[Finding]:
        """What is wrong with the texts, before they are truncated, that the conversation is learned from."""
        turns = learned_turns(conversation)
        read = beginning(conversation, turns[-1] + 1)
        rendered = "\n".join(text.text for text in texts)
        found = {
            Finding.TOOLS_IGNORED: self._ignores_tools(read) or not _all_in(_tool_names(read), rendered),
            Finding.MESSAGES_LOST: not _all_in(_contents(read), rendered),
            Finding.REASONING_LOST: not _all_in(_reasoning(read, turns), rendered),
            Finding.LEARNED_SEPARATELY: len(texts) > 1,
            Finding.PROMPT_DIFFERS: any(text.prompt_differs for text in texts),
            Finding.END_NOT_LEARNED: not all(map(self._ends_with_stop_token, texts)),
            Finding.MASK_DIFFERS: self._mask_differs(read, texts, turns),
        }
        return {finding for finding, holds in found.items() if holds}

    def _ignores_tools(self, conversation: Conversation) -> bool:
        """Whether the template does not render the definition of one more tool: a name may stand in a text by chance."""
        if not conversation.tools:
            return False
        with_another = replace(conversation, tools=[*conversation.tools, ANOTHER_TOOL])
        rendered = self.base_model.render(with_another, add_generation_prompt=False)
        return ANOTHER_NAME not in rendered

    def _ends_with_stop_token(self, text: LabelledText) -> bool:
        return all(
            self._last_id(text.input_ids[span.start : span.stop]) in self.stop_ids
            for span in text.turns.values()
        )

    def _last_id(self, ids: list[int]) -> int | None:
        """The last token that is no white space."""
        return next((token_id for token_id in reversed(ids) if not self._is_space(token_id)), None)

    def _is_space(self, token_id: int) -> bool:
        return not self.base_model.tokenizer.decode([token_id]).strip()

    def _mask_differs(self, conversation: Conversation, texts: list[LabelledText], turns: list[int]) -> bool:
        """Whether the template's own `{% generation %}` marks are other tokens than the labels, white space aside."""
        answers = [message for message in conversation.messages if message["role"] == "assistant"]
        if not self.marks_answers or len(texts) > 1 or len(turns) < len(answers):
            return False
        (text,) = texts
        marked = self.base_model.answer_mask(conversation)
        return any(
            (label == IGNORED_LABEL) == is_marked and not self._is_space(token_id)
            for token_id, label, is_marked in zip(text.input_ids, text.labels, marked, strict=True)
        )


def _all_in(pieces: Iterable[str], rendered: str) -> bool:
    """Whether the template wrote all pieces: as they are, without white space around them, or as JSON."""
    return all(piece.strip() in rendered or _as_json(piece) in rendered for piece in pieces)


def _as_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _tool_names(conversation: Conversation) -> list[str]:
    called = [call for message in conversation.messages for call in message.get("tool_calls") or []]
    return [tool["function"]["name"] for tool in [*(conversation.tools or []), *called]]


def _contents(conversation: Conversation) -> list[str]:
    messages = messages_without_control_tokens(conversation.messages)
    return [text for message in messages for text in _texts(message.get("content"))]


def _texts(content: Any) -> list[str]:
    return [part["text"] for part in content] if isinstance(content, list) else [content or ""]


def _reasoning(conversation: Conversation, turns: list[int]) -> list[str]:
    messages: list[Message] = messages_without_control_tokens(conversation.messages[turn] for turn in turns)
    return [message.get("reasoning_content") or "" for message in messages]
