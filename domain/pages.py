"""Keyset pages: which part of an ordered list is asked for, and what was found there."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Self, TypeVar

from domain.errors import Invalid

T = TypeVar("T")

DEFAULT_SIZE = 20
MAX_SIZE = 100
COUNT_CEILING = 10_001
"""Totals are counted no further than this: a list's length must not cost a scan of it."""


@dataclass(frozen=True, slots=True)
class Page:
    """A request for part of a list: `size` rows after one cursor, or before another."""

    size: int = DEFAULT_SIZE
    after: str | None = None
    before: str | None = None
    backward: bool = False

    @property
    def shape(self) -> Self:
        """The page with its cursors' places taken out: all pages of a shape are read in the same way."""
        return replace(self, after=self.after and "", before=self.before and "")

    @classmethod
    def of(cls, first: int | None, after: str | None, last: int | None, before: str | None) -> Self:
        """Read Relay's four arguments; raises `Invalid` when they make no page."""
        if first is not None and last is not None:
            raise Invalid("Ask for `first` or for `last`, not for both.", reason="INVALID_PAGE", field="last")
        name, size = ("last", last) if last is not None else ("first", first)
        size = DEFAULT_SIZE if size is None else size
        if not 1 <= size <= MAX_SIZE:
            raise Invalid(
                f"`{name}` must be from 1 to {MAX_SIZE}, not {size}.", reason="INVALID_PAGE", field=name
            )
        return cls(size, after, before, backward=last is not None)


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of a table that is kept as columns: those at `places`, in that order."""

    columns: Mapping[str, Sequence[Any]]
    places: range

    def __len__(self) -> int:
        """How many there are."""
        return len(self.places)

    def at(self, index: int) -> dict[str, Any]:
        """One row by its columns' names."""
        place = self.places[index]
        return {name: values[place] for name, values in self.columns.items()}

    def column(self, name: str) -> Sequence[Any]:
        """The values of a column."""
        if not self.places:
            return ()
        first, last, step = self.places.start, self.places.stop, self.places.step
        return self.columns[name][first : last if last >= 0 else None : step]

    def all(self) -> list[dict[str, Any]]:
        """Each row by its columns' names."""
        return records({name: self.column(name) for name in self.columns}, len(self))


def records(columns: Mapping[str, Iterable[Any]], count: int) -> list[dict[str, Any]]:
    """The rows of columns. To make each of a `zip` takes twice as long."""
    empty = dict.fromkeys(columns)
    rows = [empty.copy() for _ in range(count)]
    for name, values in columns.items():
        for row, value in zip(rows, values, strict=True):
            row[name] = value
    return rows


@dataclass(frozen=True, slots=True)
class PageSlice(Generic[T]):
    """The rows of one page of a parent's list, in its order.

    `cursor` makes the cursor of the row at an index, should it be asked for. Where only some attributes were asked for there are no `rows`, but a `part` with the columns of those.
    """

    parent: str
    rows: Sequence[T]
    cursor: Callable[[int], str]
    has_next: bool = False
    has_previous: bool = False
    part: Rows | None = None

    def __len__(self) -> int:
        """How many rows the page has."""
        return len(self.rows if self.part is None else self.part)
