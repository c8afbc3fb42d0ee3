"""Keyset pages: which part of an ordered list is asked for, and what was found there."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, Self, TypeVar

from domain.errors import Invalid

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

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
class Slice(Generic[T]):
    """The rows of one page in the list's order; `cursor` makes the cursor of the row at an index, should it be asked for."""

    rows: tuple[T, ...]
    cursor: Callable[[int], str]
    has_next: bool = False
    has_previous: bool = False


class Part(dict[str, Any]):
    """Some attributes of an object by their names: nobody asked for the others, so they were not read."""


class Reads(Protocol[T_co]):
    """How any noun is read. Rows that `viewer_id` may not see are as absent as missing ones."""

    async def get(self, id: str, *, viewer_id: str) -> T_co | None:
        """One row, None when there is none."""
        ...

    async def many(self, ids: list[str], *, viewer_id: str) -> "dict[str, Any]":
        """Rows by id; the missing ones are absent."""
        ...

    async def pages(
        self,
        parents: list[str],
        page: Page,
        *,
        by: str | None = None,
        where: Any = None,
        only: frozenset[str] | None = None,
        viewer_id: str,
    ) -> "dict[str, Slice[Any]]":
        """The same page of each parent's list in one statement; `by` names the parent's column.

        With `only` the rows may be `Part`s that have at least these attributes.
        """
        ...

    async def totals(
        self, parents: list[str], *, by: str | None = None, where: Any = None, viewer_id: str
    ) -> dict[str, int]:
        """How many rows each parent's list has, at most `COUNT_CEILING`."""
        ...
