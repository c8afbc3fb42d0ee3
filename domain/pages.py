"""Keyset pagination: requests for a part of an ordered list, and the rows of that part."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Self, TypeVar

from domain.errors import Invalid

T = TypeVar("T")

DEFAULT_SIZE = 20
MAX_SIZE = 100
COUNT_CEILING = 10_001
"""Totals are counted up to this number, so that a count does not scan a long list."""


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A request for `size` rows of a list between two cursors, from its start or, `backward`, from its end."""

    size: int = DEFAULT_SIZE
    after: str | None = None
    before: str | None = None
    backward: bool = False

    @property
    def shape(self) -> Self:
        """The request with "" for each cursor: requests of one shape are read by one statement."""
        return replace(self, after=self.after and "", before=self.before and "")

    @classmethod
    def of(cls, first: int | None, after: str | None, last: int | None, before: str | None) -> Self:
        """The request of Relay's four arguments; raises `Invalid` when they contradict each other or the size limit."""
        if first is not None and last is not None:
            raise Invalid("Give `first` or `last`, not both.", reason="INVALID_PAGE", field="last")
        name, size = ("last", last) if last is not None else ("first", first)
        size = DEFAULT_SIZE if size is None else size
        if not 1 <= size <= MAX_SIZE:
            raise Invalid(
                f"`{name}` must be from 1 to {MAX_SIZE}, not {size}.", reason="INVALID_PAGE", field=name
            )
        return cls(size, after, before, backward=last is not None)


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a table in columns: those at `indices`, in that order."""

    columns: Mapping[str, Sequence[Any]]
    indices: range

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.indices)

    def at(self, index: int) -> dict[str, Any]:
        """The values of a row by column name; raises `IndexError`."""
        row = self.indices[index]
        return {name: values[row] for name, values in self.columns.items()}

    def column(self, name: str) -> Sequence[Any]:
        """The values of a column in the order of the rows."""
        if not self.indices:
            return ()
        first, last, step = self.indices.start, self.indices.stop, self.indices.step
        return self.columns[name][first : last if last >= 0 else None : step]

    def all(self) -> list[dict[str, Any]]:
        """The rows, each as values by column name."""
        return dicts_of({name: self.column(name) for name in self.columns}, len(self))


def dicts_of(columns: Mapping[str, Iterable[Any]], count: int) -> list[dict[str, Any]]:
    """`count` rows as dicts; raises `ValueError` when a column has another length. A `zip` takes twice as long."""
    empty = dict.fromkeys(columns)
    rows = [empty.copy() for _ in range(count)]
    for name, values in columns.items():
        for row, value in zip(rows, values, strict=True):
            row[name] = value
    return rows


@dataclass(frozen=True, slots=True)
class PageResult(Generic[T]):
    """The rows of one page of a parent's list, in the order of the list.

    `cursor` gives the cursor of the row at an index. Where only some attributes were requested, `partial_rows`
    has their columns and `rows` is empty.
    """

    parent: str
    rows: Sequence[T]
    cursor: Callable[[int], str]
    has_next: bool = False
    has_previous: bool = False
    partial_rows: Rows | None = None

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.rows if self.partial_rows is None else self.partial_rows)
