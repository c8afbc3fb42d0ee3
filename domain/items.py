"""Dataset items: what is learned from, never overwritten, each with where it came from."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from domain import ids
from domain.datasets import Dataset
from domain.ids import Noun
from domain.measures import digest_of, estimate_tokens, fingerprint_of, score_of
from domain.reading import Reads
from domain.rules import bounded
from domain.texts import storable

HOLD_OUT_FROM = 50
"""Fewer valid items than this hold nothing out."""
VALUE_LIMIT = 1_000_000
"""Characters that one value may have."""


class Split(StrEnum):
    """What an item is used for."""

    PREVIEW = "PREVIEW"
    TRAIN = "TRAIN"
    EVAL = "EVAL"


class ItemOrigin(StrEnum):
    """Who made an item."""

    GENERATED = "GENERATED"
    UPLOADED = "UPLOADED"
    CORRECTED = "CORRECTED"


class ProblemCode(StrEnum):
    """What is wrong with an item."""

    JSON_INVALID = "JSON_INVALID"
    FIELD_MISSING = "FIELD_MISSING"
    OUTPUT_TOO_SHORT = "OUTPUT_TOO_SHORT"
    OUTPUT_TOO_LONG = "OUTPUT_TOO_LONG"
    DUPLICATE = "DUPLICATE"
    NEAR_DUPLICATE = "NEAR_DUPLICATE"
    TOO_MANY_TOKENS = "TOO_MANY_TOKENS"
    NOT_GROUNDED = "NOT_GROUNDED"
    LANGUAGE_MISMATCH = "LANGUAGE_MISMATCH"
    PII = "PII"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with an item, as a sentence."""

    code: ProblemCode
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where an item came from."""

    document_id: str | None = None
    source_document: str | None = None
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """An item; it is active when it is neither deleted nor corrected. `values` follow the field names.

    `key` is unique in the dataset: a row that is imported again is the same item. `digest` is of the exact
    values, `fingerprint` of input and output without case and spacing; `score`, in [0, 1), is of the
    normalised input alone, so that items with one input are never on both sides of the split.
    """

    id: str
    dataset_id: str
    position: int
    key: str
    values: tuple[str, ...]
    corrects_id: str | None = None
    corrected_by_id: str | None = None
    deleted: bool = False
    split: Split = Split.TRAIN
    problems: tuple[Problem, ...] = ()
    is_duplicate: bool = False
    is_valid: bool = True
    token_count: int
    origin: ItemOrigin
    source: Source | None = None
    generate_model: str | None = None
    generation_time_seconds: float | None = None
    digest: bytes = b""
    fingerprint: bytes = b""
    score: float = 0.0
    created_at: datetime

    @property
    def all_problems(self) -> tuple[Problem, ...]:
        """What is wrong with it, being a duplicate included."""
        return (*self.problems, DUPLICATE) if self.is_duplicate else self.problems


DUPLICATE = Problem(ProblemCode.DUPLICATE, "An earlier item has the same input and output.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemFilter:
    """Which items a list shows."""

    split: Split | None = None
    is_valid: bool | None = None
    deleted: bool | None = None
    active: bool | None = None
    problem: ProblemCode | None = None
    search: str | None = None

    def checked(self) -> "ItemFilter":
        """The filter; raises `Invalid` when its text cannot be looked for."""
        if self.search is not None:
            bounded(self.search, "filter.search", limit=1_000)
        return self


@dataclass(frozen=True, slots=True)
class SplitStats:
    """The valid items of one split; tokens are estimates (`estimate_tokens`)."""

    split: Split
    count: int
    avg_tokens: float
    min_tokens: int
    max_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetStats:
    """Over active items: total = valid + invalid; by_split counts the valid ones."""

    total: int = 0
    valid: int = 0
    invalid: int = 0
    active: int = 0
    deleted: int = 0
    corrected: int = 0
    avg_token_count: float | None = None
    by_split: tuple[SplitStats, ...] = ()
    problems: tuple[tuple[ProblemCode, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """One row of an upload: its line, its values by field, and what was wrong with the line itself."""

    line: int
    values: dict[str, str]
    problems: tuple[Problem, ...] = ()


class ItemReads(Reads[Item], Protocol):
    """The items, as they can be read."""

    async def next_position(self, dataset_id: str) -> int:
        """The position after the last item's."""
        ...

    async def sample(self, dataset_ids: list[str], first: int, *, viewer_id: str) -> dict[str, list[Item]]:
        """The first active items of each dataset."""
        ...

    async def stats(
        self, dataset_ids: list[str], *, document_id: str | None = None, viewer_id: str
    ) -> dict[str, DatasetStats]:
        """Counts over each dataset's items; over those that came from one document where it is named."""
        ...

    async def content_hashes(self, dataset_ids: list[str], *, viewer_id: str) -> dict[str, str]:
        """SHA-256 over the sorted digests of each dataset's active items, as hexadecimal digits."""
        ...


class Items(ItemReads, Protocol):
    """The items that are kept."""

    async def load(self, items: AsyncIterator[Item]) -> int:
        """Add items in bulk; those whose key is there already are left as they are. Returns how many came in."""
        ...

    async def add(self, item: Item) -> None: ...
    async def set_corrected(self, id: str, by_id: str) -> bool:
        """False when it is deleted or was corrected meanwhile."""
        ...

    async def set_deleted(
        self,
        dataset_id: str,
        deleted: bool,
        *,
        item_ids: Sequence[str] | None = None,
        where: ItemFilter | None = None,
    ) -> int:
        """Delete or restore what is named or matches and was not corrected; how many changed."""
        ...

    async def recompute(self, dataset: Dataset) -> None:
        """Bring duplicates and splits up to date after items came, went or were corrected.

        Splits are only looked at when the dataset begins or ends to hold items out.
        """
        ...

    def stream(
        self, dataset_id: str, *, split: Split | None, which: "Which", viewer_id: str
    ) -> AsyncGenerator[Item, None]:
        """All items in order, from a server-side cursor: memory stays flat."""
        ...


class Which(StrEnum):
    """Which items a download holds."""

    ACTIVE = "active"
    VALID = "valid"
    ALL = "all"


def split_of(score: float, train_share: float, *, holds_out: bool) -> Split:
    """The side of an item."""
    return Split.EVAL if holds_out and score >= train_share else Split.TRAIN


def problems_of(dataset: Dataset, values: dict[str, str], tokens: int) -> Iterable[Problem]:
    """What is wrong with an item by itself."""
    for name in (dataset.input_field, dataset.output_field):
        if not values.get(name, "").strip():
            yield Problem(ProblemCode.FIELD_MISSING, f"The field '{name}' is empty.")
    if tokens > dataset.max_tokens:
        message = f"About {tokens:,} tokens, more than the project's {dataset.max_tokens:,}."
        yield Problem(ProblemCode.TOO_MANY_TOKENS, message)
    expected, length = dataset.expected_output_size_chars, len(values.get(dataset.output_field, ""))
    if expected and length > 4 * expected:
        yield Problem(
            ProblemCode.OUTPUT_TOO_LONG, f"{length:,} characters, more than four times {expected:,}."
        )
    if expected and 0 < length < expected / 4:
        yield Problem(
            ProblemCode.OUTPUT_TOO_SHORT, f"{length:,} characters, less than a quarter of {expected:,}."
        )


def _placed(problems: Iterable[Problem], line: int | None) -> Iterable[Problem]:
    """Problems that say on which line they are."""
    return problems if line is None else (Problem(it.code, f"Line {line:,}: {it.message}") for it in problems)


def make(
    dataset: Dataset,
    values: dict[str, str],
    *,
    key: str,
    position: int,
    origin: ItemOrigin,
    now: datetime,
    source: Source | None = None,
    problems: Iterable[Problem] = (),
    line: int | None = None,
    generation_time_seconds: float | None = None,
) -> Item:
    """A checked item of a dataset; what could not be read rightly (`problems`) is not judged further.

    `line` is where it stands in its file, for the messages.
    """
    ordered = {name: storable(values.get(name, "")) for name in dataset.field_names}
    input_text, output_text = ordered[dataset.input_field], ordered[dataset.output_field]
    tokens = estimate_tokens(input_text) + estimate_tokens(output_text)
    found = tuple(problems) or tuple(_placed(problems_of(dataset, ordered, tokens), line))
    score = score_of(dataset.seed, input_text)
    return Item(
        id=ids.new(Noun.ITEM),
        dataset_id=dataset.id,
        position=position,
        key=key,
        values=tuple(ordered.values()),
        split=split_of(score, dataset.train_share, holds_out=dataset.holds_out),
        problems=found,
        is_valid=not found,
        token_count=tokens,
        origin=origin,
        source=source,
        generation_time_seconds=generation_time_seconds,
        digest=digest_of(ordered),
        fingerprint=fingerprint_of(input_text, output_text),
        score=score,
        created_at=now,
    )
