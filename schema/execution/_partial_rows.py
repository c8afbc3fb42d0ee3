"""Rows of which only some attributes were read, as the objects that they are parts of."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

from domain.pages import Rows


class Parts(Sequence[Any]):
    """The objects of some rows. They are made when they are looked at, for in columns nobody does."""

    __slots__ = ("cls", "rows")

    def __init__(self, cls: type, rows: Rows) -> None:
        self.cls = cls
        self.rows = rows

    def __len__(self) -> int:
        """How many there are."""
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        """An object that has the attributes which were read, or some of them."""
        if isinstance(index, slice):
            return Parts(self.cls, Rows(self.rows.columns, self.rows.places[index]))
        return _object(self.cls, self.rows.at(index))

    def __iter__(self) -> Iterator[Any]:
        """All of them."""
        return (_object(self.cls, row) for row in self.rows.all())


def _object(cls: type, row: dict[str, Any]) -> Any:
    made: Any = object.__new__(cls)
    made.__dict__ = row
    return made


class Joined:
    """The parts of many lists of the same kind, one after the other."""

    __slots__ = ("_lists", "_pick", "cls")

    def __init__(self, lists: Sequence[Parts]) -> None:
        self._lists = lists
        self.cls = lists[0].cls
        self._pick = _picker([it.rows for it in lists])

    def column(self, name: str) -> Sequence[Any]:
        """An attribute of all of them."""
        return self._pick(name)

    def __len__(self) -> int:
        """How many there are."""
        return sum(map(len, self._lists))

    def __iter__(self) -> Iterator[Any]:
        """The objects."""
        return chain.from_iterable(self._lists)


def _picker(rows: Sequence[Rows]) -> Callable[[str], Sequence[Any]]:
    """Takes a column of them all: with one look, where they are of the same table, as those of one statement are."""
    columns = rows[0].columns
    places = list(chain.from_iterable(it.places for it in rows))
    if len(places) > 1 and all(it.columns is columns for it in rows):
        pick = itemgetter(*places)
        return lambda name: pick(columns[name])
    return lambda name: list(chain.from_iterable(it.column(name) for it in rows))
