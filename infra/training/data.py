"""The frozen items as token ids. What is cut or left out is counted, never lost in silence."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.training.base_model import Base, Conversation

IGNORED = -100  # the label of a token that the loss does not count


@dataclass(frozen=True, slots=True)
class Item:
    """One question and its answer."""

    id: str
    input: str
    output: str

    @property
    def prompt(self) -> Conversation:
        """The question alone."""
        return [{"role": "user", "content": self.input}]

    @property
    def whole(self) -> Conversation:
        """The question and its answer."""
        return [*self.prompt, {"role": "assistant", "content": self.output}]


@dataclass(frozen=True, slots=True)
class Row:
    """An item as the model reads it: the labels count the answer alone."""

    item: Item
    input_ids: list[int]
    labels: list[int]


@dataclass(frozen=True, slots=True)
class Prepared:
    """The rows of one split, and how many items were cut, left out, or begin their answer elsewhere."""

    rows: tuple[Row, ...]
    truncated: int
    dropped: int
    diverging: int

    def warnings(self, what: str, max_length: int) -> list[str]:
        """What the user should know about the `what` items, one sentence each."""
        said = []
        if self.truncated:
            said.append(f"{self.truncated} {what} items were longer than {max_length} tokens and were cut.")
        if self.dropped:
            said.append(
                f"{self.dropped} {what} items were left out: their prompt alone fills {max_length} tokens."
            )
        if self.diverging:
            said.append(
                f"In {self.diverging} {what} items the chat template renders the prompt differently when "
                "an answer follows; the model was trained on a prompt that differs from the one it is asked."
            )
        return said


def read(path: Path) -> tuple[list[Item], list[Item]]:
    """The items to train on and those held out, in the file's order."""
    train: list[Item] = []
    held_out: list[Item] = []
    with path.open(encoding="utf-8") as lines:
        for line in filter(str.strip, lines):
            fields: dict[str, Any] = json.loads(line)
            item = Item(fields["id"], fields["input"], fields["output"])
            (held_out if fields["split"] == "EVAL" else train).append(item)
    return train, held_out


def prepare(items: list[Item], base: Base, max_length: int) -> Prepared:
    """Tokenise `items`; answers beyond `max_length` tokens are cut, items without any answer left are dropped."""
    rows: list[Row] = []
    truncated = diverging = 0
    for item in items:
        prompt = base.token_ids(item.prompt, answering=True)
        whole = base.token_ids(item.whole, answering=False)
        begin = _common(prompt, whole)
        if begin >= min(len(whole), max_length):
            continue
        truncated += len(whole) > max_length
        diverging += begin < len(prompt)
        labels = [IGNORED] * begin + whole[begin:]
        rows.append(Row(item, whole[:max_length], labels[:max_length]))
    return Prepared(tuple(rows), truncated, len(items) - len(rows), diverging)


def _common(one: list[int], other: list[int]) -> int:
    """How many ids both begin with."""
    pairs = zip(one, other, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
