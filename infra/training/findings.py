"""What may be wrong with items that are learned from, and the sentences that warn of it."""

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum


class Finding(Enum):
    """A sentence about one item and one about several, or one for both.

    `{items}` is the number of items and their split, `{limit}` the greatest number of tokens, `{reason}` the template's.
    """

    TRUNCATED = (
        "{items} was longer than {limit} tokens and was truncated.",
        "{items} were longer than {limit} tokens and were truncated.",
    )
    PROMPT_TOO_LONG = (
        "{items} was left out: its prompt alone fills {limit} tokens.",
        "{items} were left out: their prompt alone fills {limit} tokens.",
    )
    REFUSED = (
        "{items} was left out: the chat template refuses its messages ({reason}).",
        "{items} were left out: the chat template refuses their messages (the first: {reason}).",
    )
    NOTHING_TO_LEARN = (
        "{items} was left out: it has no assistant message to learn from, after another message and without weight 0.",
        "{items} were left out: they have no assistant message to learn from, after another message and without weight 0.",
    )
    ANSWERS_LOST = (
        "{items} was left out: the chat template leaves out its answer.",
        "{items} were left out: the chat template leaves out their answers.",
    )
    PAIR_TOO_LONG = (
        "{items} was left out: its prompt and one of its answers have more than {limit} tokens together.",
        "{items} were left out: their prompt and one of their answers have more than {limit} tokens together.",
    )
    ANSWERS_ALIKE = (
        "{items} was left out: the chat template renders its two answers to the same text.",
        "{items} were left out: the chat template renders their two answers to the same text.",
    )
    TURNS_CUT_OFF = "In {items} an answer begins beyond {limit} tokens and is not learned."
    TOOLS_IGNORED = (
        "The base model's chat template does not render the tools or tool calls of {items}, so the fine-tuned model "
        "would never see them; choose another base model, or leave the tools out of the dataset."
    )
    MESSAGES_LOST = "In {items} the chat template leaves out a message; the model never sees it."
    REASONING_LOST = (
        "In {items} the chat template leaves out the reasoning of an answer, which is not learned."
    )
    LEARNED_SEPARATELY = (
        "In {items} the chat template renders earlier answers differently once other messages follow; each of them is "
        "learned from a copy of the conversation that ends with it."
    )
    PROMPT_DIFFERS = (
        "In {items} the chat template renders the prompt differently when an answer follows; the model was trained on "
        "a prompt that differs from the one it is asked."
    )
    END_NOT_LEARNED = (
        "In {items} no stop token is learned at the end of an answer, because the chat template writes none; the model "
        "may not stop."
    )
    MASK_DIFFERS = (
        "In {items} the chat template marks other tokens as the assistant's than those that are learned."
    )


LEFT_OUT = (
    Finding.REFUSED,
    Finding.NOTHING_TO_LEARN,
    Finding.PROMPT_TOO_LONG,
    Finding.ANSWERS_LOST,
    Finding.PAIR_TOO_LONG,
    Finding.ANSWERS_ALIKE,
)
"""The findings for which nothing is learned of an item."""


MAX_REFUSAL = 500
"""Most characters of what a template says, which is the model's and not ours."""


@dataclass(slots=True)
class Findings:
    """How many items of one split each finding is about; `refusal` is the template's first reason for one."""

    counts: Counter[Finding] = field(default_factory=Counter)
    refusal: str | None = None

    def add_refusal(self, error: Exception) -> None:
        """Count an item that the template refuses."""
        self.counts[Finding.REFUSED] += 1
        self.refusal = self.refusal or str(error)[:MAX_REFUSAL]

    def sentence(self, finding: Finding, split: str, max_length: int) -> str:
        """The warning about the finding, where items of `split` have at most `max_length` tokens."""
        number = self.counts[finding]
        forms = (finding.value,) * 2 if isinstance(finding.value, str) else finding.value
        items = f"{number} {split} {'item' if number == 1 else 'items'}"
        return str(forms[number != 1].format(items=items, limit=max_length, reason=self.refusal))

    def sentences(self, split: str, max_length: int) -> list[str]:
        """The warnings about all findings, one sentence each."""
        return [self.sentence(finding, split, max_length) for finding in Finding if self.counts[finding]]
