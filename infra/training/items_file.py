"""The frozen items of a run, from its JSON Lines file."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from domain.conversations import Conversation, Message, Preference
from infra.training.labels import beginning, learned_turns

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class TrainingItem:
    """A conversation to learn from."""

    id: str
    conversation: Conversation

    @property
    def asked(self) -> Conversation:
        """The conversation before its last learned turn; all of it where there is none."""
        turns = learned_turns(self.conversation)
        return beginning(self.conversation, turns[-1]) if turns else self.conversation

    def asked_before(self, turn: int) -> Conversation:
        """The conversation before the learned turn of this index."""
        return beginning(self.conversation, turn)

    @property
    def answer(self) -> Message:
        """The assistant message of the last learned turn."""
        return self.conversation.messages[len(self.asked.messages)]


@dataclass(frozen=True, slots=True)
class PreferenceItem:
    """A conversation that asks, with a better and a worse answer."""

    id: str
    preference: Preference

    @property
    def asked(self) -> Conversation:
        """The conversation that asks."""
        return self.preference.input

    def asked_before(self, _turn: int) -> Conversation:
        """The conversation that asks: the one turn of a pair ends it."""
        return self.asked

    @property
    def answer(self) -> Message:
        """The better answer."""
        return self.preference.preferred


def read_items(path: Path) -> tuple[list[TrainingItem], list[TrainingItem]]:
    """The conversations to train on and those held out, in the order of the file."""
    return _read(path, lambda line: TrainingItem(line["id"], Conversation(**line["conversation"])))


def read_preferences(path: Path) -> tuple[list[PreferenceItem], list[PreferenceItem]]:
    """The preference pairs to train on and those held out, in the order of the file."""
    return _read(path, lambda line: PreferenceItem(line["id"], _preference(line["preference"])))


def _read(path: Path, item_of: Callable[[dict[str, Any]], Item]) -> tuple[list[Item], list[Item]]:
    train: list[Item] = []
    held_out: list[Item] = []
    with path.open(encoding="utf-8") as lines:
        for line in filter(str.strip, lines):
            fields: dict[str, Any] = json.loads(line)
            (held_out if fields["split"] == "EVAL" else train).append(item_of(fields))
    return train, held_out


def _preference(fields: dict[str, Any]) -> Preference:
    return Preference(
        input=Conversation(**fields["input"]),
        preferred=fields["preferred"],
        non_preferred=fields["non_preferred"],
    )
