"""Rows of which only some columns were read, as the objects whose attributes those columns are."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, Protocol


class Rows(Protocol):
    """Rows of a table that is stored as columns: those at `indices`, in that order."""

    @property
    def columns(self) -> Mapping[str, Sequence[Any]]: ...
    @property
    def indices(self) -> range: ...
    def __len__(self) -> int: ...
    def at(self, index: int) -> dict[str, Any]:
        """One row by the names of its columns."""
        ...

    def column(self, name: str) -> Sequence[Any]:
        """The values of a column."""
        ...

    def all(self) -> list[dict[str, Any]]:
        """Every row by the names of its columns."""
        ...


class PartialRows(Sequence[Any]):
    """Objects of class `cls`, one for each row; each is made when it is accessed, and none when a column is read."""

    __slots__ = ("cls", "rows")

    def __init__(self, cls: type, rows: Rows) -> None:
        self.cls = cls
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return list(self)[index]
        return _object(self.cls, self.rows.at(index))

    def __iter__(self) -> Iterator[Any]:
        return (_object(self.cls, row) for row in self.rows.all())


def _object(cls: type, row: dict[str, Any]) -> Any:
    """An object with only the attributes that were read."""
    made: Any = object.__new__(cls)
    made.__dict__ = row
    return made


class ConcatenatedRows:
    """The objects of many lists of `PartialRows` of one class, one after the other."""

    __slots__ = ("_lists", "_pick", "cls")

    def __init__(self, lists: Sequence[PartialRows]) -> None:
        self._lists = lists
        self.cls = lists[0].cls
        self._pick = _picker([partial.rows for partial in lists])

    def column(self, name: str) -> Sequence[Any]:
        """An attribute of all of them."""
        return self._pick(name)

    def __len__(self) -> int:
        return sum(map(len, self._lists))

    def __iter__(self) -> Iterator[Any]:
        return chain.from_iterable(self._lists)


def _picker(parts: Sequence[Rows]) -> Callable[[str], Sequence[Any]]:
    """A function that returns a column of all rows: in one step where they share a table, as rows of one statement do."""
    columns = parts[0].columns
    indices = list(chain.from_iterable(rows.indices for rows in parts))
    if len(indices) > 1 and all(rows.columns is columns for rows in parts):
        pick = itemgetter(*indices)
        return lambda name: pick(columns[name])
    return lambda name: list(chain.from_iterable(rows.column(name) for rows in parts))
