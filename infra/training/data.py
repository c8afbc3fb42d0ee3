"""The frozen items as token ids. Items that are truncated or dropped are counted, for the user's warnings."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.training.base_model import Conversation, LocalBaseModel

IGNORED_LABEL = -100  # the label of a token that the loss does not count


@dataclass(frozen=True, slots=True)
class TrainingItem:
    """One prompt and the answer to learn."""

    id: str
    input: str
    output: str

    @property
    def prompt(self) -> Conversation:
        """The user's turn alone."""
        return [{"role": "user", "content": self.input}]

    @property
    def conversation(self) -> Conversation:
        """The user's turn and the assistant's."""
        return [*self.prompt, {"role": "assistant", "content": self.output}]


@dataclass(frozen=True, slots=True)
class TokenizedItem:
    """An item's token ids, and its labels: those of the prompt are `IGNORED_LABEL`, so only the answer is learned."""

    item: TrainingItem
    input_ids: list[int]
    labels: list[int]


@dataclass(frozen=True, slots=True)
class TokenizedSplit:
    """The items of one split, and how many were truncated, dropped, or have a prompt that renders differently."""

    items: tuple[TokenizedItem, ...]
    truncated: int
    dropped: int
    prompt_mismatches: int

    def warnings(self, split: str, max_length: int) -> list[str]:
        """What the user should know about the items of this `split`, one sentence each."""
        warnings = []
        if self.truncated:
            verb = "was" if self.truncated == 1 else "were"
            items = _count(self.truncated, split)
            warnings.append(f"{items} {verb} longer than {max_length} tokens and {verb} truncated.")
        if self.dropped:
            reason = "was left out: its prompt" if self.dropped == 1 else "were left out: their prompt"
            warnings.append(f"{_count(self.dropped, split)} {reason} alone fills {max_length} tokens.")
        if self.prompt_mismatches:
            warnings.append(
                f"In {_count(self.prompt_mismatches, split)} the chat template renders the prompt differently when "
                "an answer follows; the model was trained on a prompt that differs from the one it is asked."
            )
        return warnings


def read_items(path: Path) -> tuple[list[TrainingItem], list[TrainingItem]]:
    """The items to train on and those held out, in the order of the JSON Lines file."""
    train: list[TrainingItem] = []
    held_out: list[TrainingItem] = []
    with path.open(encoding="utf-8") as lines:
        for line in filter(str.strip, lines):
            fields: dict[str, Any] = json.loads(line)
            asked, answer = fields["conversation"]["messages"]
            item = TrainingItem(fields["id"], asked["content"], answer["content"])
            (held_out if fields["split"] == "EVAL" else train).append(item)
    return train, held_out


def tokenize(items: list[TrainingItem], base_model: LocalBaseModel, max_length: int) -> TokenizedSplit:
    """Tokenize `items`: whatever is beyond `max_length` tokens is truncated, and items with no answer left are dropped."""
    tokenized: list[TokenizedItem] = []
    truncated = prompt_mismatches = 0
    for item in items:
        prompt_ids = base_model.token_ids(item.prompt, add_generation_prompt=True)
        ids = base_model.token_ids(item.conversation, add_generation_prompt=False)
        answer_start = _common_prefix_length(prompt_ids, ids)
        if answer_start >= min(len(ids), max_length):
            continue
        truncated += len(ids) > max_length
        prompt_mismatches += answer_start < len(prompt_ids)
        labels = [IGNORED_LABEL] * answer_start + ids[answer_start:]
        tokenized.append(TokenizedItem(item, ids[:max_length], labels[:max_length]))
    return TokenizedSplit(tuple(tokenized), truncated, len(items) - len(tokenized), prompt_mismatches)


def _count(number: int, split: str) -> str:
    return f"{number} {split} {'item' if number == 1 else 'items'}"


def _common_prefix_length(first: list[int], second: list[int]) -> int:
    pairs = zip(first, second, strict=False)
    shorter = min(len(first), len(second))
    return next((index for index, (left, right) in enumerate(pairs) if left != right), shorter)
