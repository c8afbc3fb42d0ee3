"""Rows of which some attributes were read stand for objects, alone and as one long column."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.pages import Rows
from schema.execution._partial_rows import ConcatenatedRows, PartialRows


@dataclass
class Thing:
    """What cannot be made without all of its attributes."""

    name: str
    size: int
    secret: str

    @property
    def loud(self) -> str:
        """What it makes of an attribute."""
        return self.name.upper()


Table = Mapping[str, Sequence[Any]]
TABLE: Table = {"name": ["a", "b", "c", "d"], "size": [1, 2, 3, 4]}
OTHER: Table = {"name": ("x", "y"), "size": (8, 9)}


def parts(places: range, columns: Table = TABLE) -> PartialRows:
    """Things at these places of a table."""
    return PartialRows(Thing, Rows(columns, places))


def test_a_part_is_an_object_of_its_class_with_what_was_read_of_it() -> None:
    (thing,) = parts(range(1, 2))
    assert type(thing) is Thing
    assert vars(thing) == {"name": "b", "size": 2}
    assert thing.loud == "B"
    with pytest.raises(AttributeError):
        _ = thing.secret


def test_parts_are_counted_taken_by_index_and_looked_through() -> None:
    them = parts(range(3, 0, -1))
    assert len(them) == 3
    assert [it.name for it in them] == ["d", "c", "b"]
    assert [it.name for it in reversed(them)] == ["b", "c", "d"]
    assert [them[0].name, them[2].size, them[-1].name] == ["d", 2, "b"]
    for beyond in (3, -4):
        with pytest.raises(IndexError):
            _ = them[beyond]


def test_without_rows_there_are_no_parts() -> None:
    assert list(parts(range(0))) == []
    assert not parts(range(0))


def test_what_is_done_to_a_part_is_not_done_to_the_table() -> None:
    them = parts(range(2))
    them[0].name = "changed"
    next(iter(them)).name = "changed"
    assert [it.name for it in them] == ["a", "b"]
    assert TABLE["name"] == ["a", "b", "c", "d"]


def told(joined: ConcatenatedRows) -> tuple[int, list[object], list[object], list[object]]:
    """All that there is to know of many lists."""
    return len(joined), list(joined.column("name")), list(joined.column("size")), [it.name for it in joined]


@pytest.mark.parametrize(
    ("lists", "names", "sizes"),
    [
        ([parts(range(2)), parts(range(3, 1, -1))], ["a", "b", "d", "c"], [1, 2, 4, 3]),
        ([parts(range(2)), parts(range(0)), parts(range(3, 4))], ["a", "b", "d"], [1, 2, 4]),
        ([parts(range(4)[::-1])], ["d", "c", "b", "a"], [4, 3, 2, 1]),
        ([parts(range(2, 3))], ["c"], [3]),
        ([parts(range(0)), parts(range(2, 3)), parts(range(0))], ["c"], [3]),
        ([parts(range(0)), parts(range(0))], [], []),
        ([parts(range(1)), parts(range(1))], ["a", "a"], [1, 1]),
    ],
)
def test_lists_of_one_table_are_one_column(
    lists: list[PartialRows], names: list[str], sizes: list[int]
) -> None:
    assert told(ConcatenatedRows(lists)) == (len(names), names, sizes, names)


def test_lists_of_different_tables_are_one_column_too() -> None:
    lists = [parts(range(1, 3)), parts(range(1, -1, -1), OTHER), parts(range(1))]
    names = ["b", "c", "y", "x", "a"]
    assert told(ConcatenatedRows(lists)) == (5, names, [2, 3, 9, 8, 1], names)


def test_tables_with_the_same_values_are_not_taken_for_the_same_table() -> None:
    turned = {name: values[::-1] for name, values in TABLE.items()}
    lists = [parts(range(2)), parts(range(2), turned)]
    assert told(ConcatenatedRows(lists)) == (4, ["a", "b", "d", "c"], [1, 2, 4, 3], ["a", "b", "d", "c"])


def test_many_lists_are_of_the_class_of_each() -> None:
    assert ConcatenatedRows([parts(range(1)), parts(range(0))]).cls is Thing


SLICES = st.lists(st.tuples(st.sampled_from([0, 1]), st.slices(6)), min_size=1, max_size=5)


@given(SLICES)
def test_a_column_of_many_lists_has_the_attribute_of_each_object_in_their_order(
    chosen: list[tuple[int, slice]],
) -> None:
    tables: list[Table] = [{"name": [f"{of}{it}" for it in range(6)]} for of in (0, 1)]
    expected = [name for of, its in chosen for name in tables[of]["name"][its]]
    joined = ConcatenatedRows([PartialRows(Thing, Rows(tables[of], range(6)[its])) for of, its in chosen])
    assert list(joined.column("name")) == [it.name for it in joined] == expected
    assert len(joined) == len(expected)


def test_a_slice_has_the_objects_of_its_rows() -> None:
    assert [thing.name for thing in parts(range(4))[1:3]] == ["b", "c"]
