"""The frozen items as token ids. Whatever of them is not learned is counted, for the user's warnings."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from infra.training.base_model import LocalBaseModel
from infra.training.findings import Finding
from infra.training.items_file import TrainingItem
from infra.training.labels import LabelledText, labelled_texts


@dataclass(frozen=True, slots=True)
class TokenizedItem:
    """An item, and the texts that it is learned from, of at most the run's greatest number of tokens."""

    item: TrainingItem
    texts: tuple[LabelledText, ...]


@dataclass(frozen=True, slots=True)
class TokenizedSplit:
    """The items of one split that are learned from, and what was found in all of them: the number of items by finding."""

    items: tuple[TokenizedItem, ...]
    findings: Counter[Finding]

    @property
    def texts(self) -> list[LabelledText]:
        """The texts of all items."""
        return [text for tokenized in self.items for text in tokenized.texts]

    @property
    def truncated(self) -> int:
        """How many items were truncated."""
        return self.findings[Finding.TRUNCATED]

    @property
    def dropped(self) -> int:
        """How many items were left out."""
        return self.findings[Finding.PROMPT_TOO_LONG]

    def warnings(self, split: str, max_length: int) -> list[str]:
        """What the user should know about the items of this `split`, one sentence each."""
        return [
            finding.sentence(self.findings[finding], split, max_length)
            for finding in Finding
            if self.findings[finding]
        ]


def tokenize(items: Sequence[TrainingItem], base_model: LocalBaseModel, max_length: int) -> TokenizedSplit:
    """Tokenize `items`: whatever is beyond `max_length` tokens is truncated; items with nothing left to learn are left out."""
    tokenized: list[TokenizedItem] = []
    findings: Counter[Finding] = Counter()
    for item in items:
        texts = labelled_texts(base_model, item.conversation)
        learned = tuple(text for whole in texts if (text := whole.truncated(max_length)).turns)
        if learned:
            tokenized.append(TokenizedItem(item, learned))
        findings.update(_findings(texts, learned, max_length))
    return TokenizedSplit(tuple(tokenized), findings)


def _findings(texts: list[LabelledText], learned: tuple[LabelledText, ...], max_length: int) -> set[Finding]:
    if not learned:
        return {Finding.PROMPT_TOO_LONG}
    found = set()
    if any(len(text.input_ids) > max_length for text in texts):
        found.add(Finding.TRUNCATED)
    if any(text.prompt_differs for text in learned):
        found.add(Finding.PROMPT_DIFFERS)
    return found
