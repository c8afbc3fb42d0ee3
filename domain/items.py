"""Dataset items: records and rules. A correction is a new item; none is overwritten."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from itertools import compress
from typing import NamedTuple, Protocol

from domain import ids
from domain.datasets import Dataset
from domain.hashes import digest_of_values, exact_fingerprint_of, fingerprint_of, split_score_of
from domain.ids import Noun
from domain.item_problems import (
    CONTRADICTION,
    DUPLICATE,
    NEAR_DUPLICATE,
    Problem,
    ProblemCode,
    is_free_of_errors,
    problems_of,
)
from domain.item_texts import texts_of
from domain.reading import Reads
from domain.rules import validated_text
from domain.splits import Split, SplitStats, split_of
from domain.texts import replace_invalid_characters

VALUE_LIMIT = 1_000_000
"""Most characters of one value."""


class ItemOrigin(StrEnum):
    """Origin of an item."""

    GENERATED = "GENERATED"
    UPLOADED = "UPLOADED"
    CORRECTED = "CORRECTED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where an item came from: a document's id, its file name, and character offsets in it."""

    document_id: str | None = None
    source_document: str | None = None
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """An item, which is active unless it is deleted or corrected. `values` are in the order of the field names.

    `key` is unique in the dataset: a row that is imported again is the same item. `digest` hashes the exact
    values, or the JSON that they are whatever the order of its keys; `input_fingerprint` and `output_fingerprint` hash
    one canonical text, `fingerprint` the normalized input and output (`domain.item_texts.ItemTexts` says which texts);
    `score`, in [0, 1), depends on the normalized text that is asked first, so that the same inputs are in one split.
    `search_text` is searched in place of the values; it is stored, and not read.
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
    is_near_duplicate: bool = False
    is_contradiction: bool = False
    is_valid: bool = True
    token_count: int
    origin: ItemOrigin
    source: Source | None = None
    generate_model: str | None = None
    generation_time_seconds: float | None = None
    search_text: str | None = None
    digest: bytes = b""
    fingerprint: bytes = b""
    input_fingerprint: bytes = b""
    output_fingerprint: bytes = b""
    score: float = 0.0
    created_at: datetime

    @property
    def all_problems(self) -> tuple[Problem, ...]:
        """`problems`, and those that the other items of the dataset cause."""
        flags = (self.is_duplicate, self.is_near_duplicate, self.is_contradiction)
        return (*self.problems, *compress((DUPLICATE, NEAR_DUPLICATE, CONTRADICTION), flags))


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemFilter:
    """Conditions that listed items fulfill."""

    split: Split | None = None
    is_valid: bool | None = None
    deleted: bool | None = None
    active: bool | None = None
    problem: ProblemCode | None = None
    search: str | None = None

    def validated(self) -> "ItemFilter":
        """The filter; raises `Invalid` when its search text is too long or cannot be stored."""
        if self.search is not None:
            validated_text(self.search, "filter.search", limit=1_000)
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetStats:
    """Counts of items: `total`, `valid` and `invalid` are of active ones, `by_split` of valid ones."""

    total: int = 0
    valid: int = 0
    invalid: int = 0
    active: int = 0
    deleted: int = 0
    corrected: int = 0
    avg_token_count: float | None = None
    by_split: tuple[SplitStats, ...] = ()
    problems: tuple[tuple[ProblemCode, int], ...] = ()


class TableRow(NamedTuple):
    """A row of an uploaded table: its line from 1 on, its values of the selected columns, problems of the line itself."""

    line: int
    values: tuple[str, ...]
    problems: tuple[Problem, ...] = ()


class ItemReads(Reads[Item], Protocol):
    """Reads items."""

    async def next_position(self, dataset_id: str) -> int:
        """The position after the last item's."""
        ...

    async def sample(self, dataset_ids: list[str], first: int, *, viewer_id: str) -> dict[str, list[Item]]:
        """The first active items of each dataset."""
        ...

    async def stats(
        self, dataset_ids: list[str], *, document_id: str | None = None, viewer_id: str
    ) -> dict[str, DatasetStats]:
        """Statistics of each dataset's items, or only of those that came from a document."""
        ...

    async def content_hashes(self, dataset_ids: list[str], *, viewer_id: str) -> dict[str, str]:
        """The SHA-256 of the sorted digests of each dataset's active items, in hexadecimal."""
        ...


class Items(ItemReads, Protocol):
    """Reads and writes items."""

    async def add_many(self, items: AsyncIterator[Item]) -> int:
        """Insert items in bulk, but those whose key is stored already; returns how many were inserted."""
        ...

    async def add(self, item: Item) -> None: ...
    async def set_corrected(self, id: str, by_id: str) -> bool:
        """Record the correction of an item; False when it is deleted or corrected already."""
        ...

    async def set_deleted(
        self,
        dataset_id: str,
        deleted: bool,
        *,
        item_ids: Sequence[str] | None = None,
        where: ItemFilter | None = None,
    ) -> int:
        """Delete or restore uncorrected items by id or by filter; returns how many changed."""
        ...

    async def recompute(self, dataset: Dataset) -> None:
        """Update flags and splits after items were added, deleted, restored or corrected.

        Of active items without errors all but the first with the same canonical texts are duplicates. Of the others,
        all but the first with the same normalized texts are near duplicates, and those with the same canonical input
        whose normalized outputs differ are all contradictions; an item may be both, with regard to different items.
        Splits change only when the number of valid items passes `MIN_ITEMS_TO_HOLD_OUT`.
        """
        ...

    def stream(
        self, dataset_id: str, *, split: Split | None, selection: "ItemSelection", viewer_id: str
    ) -> AsyncGenerator[Item, None]:
        """Selected items in order, from a server-side cursor, in constant memory."""
        ...


class ItemSelection(StrEnum):
    """Items that a download contains: active ones, active ones that are valid, or all."""

    ACTIVE = "active"
    VALID = "valid"
    ALL = "all"


def _with_line(problems: Iterable[Problem], line: int | None) -> Iterable[Problem]:
    prefix = "" if line is None else f"Line {line:,}: "
    return (replace(problem, message=prefix + problem.message) for problem in problems)


def new_item(
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
    """An item with its problems; those of its values are left out where its row has an error. `line` is for messages."""
    ordered = {name: replace_invalid_characters(values.get(name, "")) for name in dataset.field_names}
    texts = texts_of(dataset, ordered)
    found = tuple(problems)
    if is_free_of_errors(found) and (of_values := tuple(problems_of(dataset, ordered, texts))):
        found += tuple(_with_line(of_values, line))
    score = split_score_of(dataset.seed, texts.asked)
    return Item(
        id=ids.new(Noun.ITEM),
        dataset_id=dataset.id,
        position=position,
        key=key,
        values=tuple(ordered.values()),
        split=split_of(score, dataset.train_share, holds_out=dataset.holds_out),
        problems=found,
        is_valid=is_free_of_errors(found),
        token_count=texts.tokens,
        origin=origin,
        source=source,
        generation_time_seconds=generation_time_seconds,
        search_text=texts.search,
        digest=digest_of_values(ordered if texts.json is None else texts.json),
        fingerprint=fingerprint_of(texts.input, texts.output),
        input_fingerprint=exact_fingerprint_of(texts.input),
        output_fingerprint=exact_fingerprint_of(texts.output),
        score=score,
        created_at=now,
    )
