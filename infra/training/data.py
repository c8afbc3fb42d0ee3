"""The frozen items as token ids. Whatever of them is not learned is counted, for the user's warnings."""

from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import TemplateError

from infra.training.base_model import LocalBaseModel
from infra.training.findings import LEFT_OUT, Finding, Findings
from infra.training.items_file import PreferenceItem, TrainingItem
from infra.training.label_checks import LabelChecks
from infra.training.labels import LabelledText, labelled_texts

TEMPLATE_ERRORS = (TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What a chat template raises at a conversation that it does not know how to render."""


@dataclass(frozen=True, slots=True)
class TokenizedItem:
    """An item, and the texts that it is learned from, of at most the run's greatest number of tokens.

    A preference pair has two: first the one that ends with the better answer, then that with the worse.
    """

    item: TrainingItem | PreferenceItem
    texts: tuple[LabelledText, ...]


@dataclass(frozen=True, slots=True)
class TokenizedSplit:
    """The items of one split that are learned from, and what was found in all of them."""

    items: tuple[TokenizedItem, ...]
    findings: Findings

    @property
    def texts(self) -> list[LabelledText]:
        """The texts of all items."""
        return [text for tokenized in self.items for text in tokenized.texts]

    @property
    def truncated(self) -> int:
        """How many items were truncated."""
        return self.findings.counts[Finding.TRUNCATED]

    @property
    def dropped(self) -> int:
        """How many items were left out."""
        return sum(self.findings.counts[finding] for finding in LEFT_OUT)

    def warnings(self, split: str, max_length: int) -> list[str]:
        """What the user should know about the items of this `split`, one sentence each."""
        return self.findings.sentences(split, max_length)


def tokenize(items: Sequence[TrainingItem], base_model: LocalBaseModel, max_length: int) -> TokenizedSplit:
    """Tokenize `items`: whatever is beyond `max_length` tokens is truncated; items with nothing left to learn are left out."""
    tokenized: list[TokenizedItem] = []
    findings, checks = Findings(), LabelChecks.of(base_model)
    for item in items:
        try:
            texts = labelled_texts(base_model, item.conversation)
        except TEMPLATE_ERRORS as error:
            findings.add_refusal(error)
            continue
        learned = tuple(text for whole in texts if (text := whole.truncated(max_length)).turns)
        if learned:
            tokenized.append(TokenizedItem(item, learned))
            findings.counts.update(checks.findings(item.conversation, texts))
            findings.counts.update(_length_findings(texts, learned, max_length))
        else:
            findings.counts[_why_left_out(texts)] += 1
    return TokenizedSplit(tuple(tokenized), findings)


def cannot_train(train: TokenizedSplit, max_length: int) -> str | None:
    """Why nothing can be trained with these items, as a sentence; None where something can."""
    findings = train.findings
    if findings.counts[Finding.TOOLS_IGNORED]:
        return findings.sentence(Finding.TOOLS_IGNORED, "training", max_length)
    if train.items:
        return None
    if findings.counts[Finding.PROMPT_TOO_LONG]:
        return f"No item can be trained on: no answer fits into {max_length} tokens with its prompt."
    return " ".join(["No item can be trained on.", *train.warnings("training", max_length)])


def _why_left_out(texts: Sequence[LabelledText]) -> Finding:
    if not texts:
        return Finding.NOTHING_TO_LEARN
    return Finding.PROMPT_TOO_LONG if any(text.turns for text in texts) else Finding.ANSWERS_LOST


def _length_findings(
    texts: Sequence[LabelledText], learned: Sequence[LabelledText], max_length: int
) -> set[Finding]:
    found = set()
    if any(len(text.input_ids) > max_length for text in texts):
        found.add(Finding.TRUNCATED)
    if sum(len(text.turns) for text in learned) < sum(len(text.turns) for text in texts):
        found.add(Finding.TURNS_CUT_OFF)
    return found
