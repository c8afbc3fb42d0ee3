"""Partial rows stand for objects, in one list and concatenated to columns of many lists."""

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
    """A class that cannot be constructed without all of its attributes."""

    name: str
    size: int
    secret: str

    @property
    def upper_name(self) -> str:
        """A property that is computed from an attribute."""
        return self.name.upper()


Table = Mapping[str, Sequence[Any]]
TABLE: Table = {"name": ["a", "b", "c", "d"], "size": [1, 2, 3, 4]}
OTHER: Table = {"name": ("x", "y"), "size": (8, 9)}


def partial_rows(places: range, columns: Table = TABLE) -> PartialRows:
    """Partial rows of the class `Thing` at these positions of a table of columns."""
    return PartialRows(Thing, Rows(columns, places))


def test_a_partial_row_is_an_object_of_its_class_with_the_read_attributes() -> None:
    (item,) = partial_rows(range(1, 2))
    assert type(item) is Thing
    assert vars(item) == {"name": "b", "size": 2}
    assert item.upper_name == "B"
    with pytest.raises(AttributeError):
        _ = item.secret


def test_partial_rows_have_a_length_indexes_and_iteration() -> None:
    things = partial_rows(range(3, 0, -1))
    assert len(things) == 3
    assert [item.name for item in things] == ["d", "c", "b"]
    assert [item.name for item in reversed(things)] == ["b", "c", "d"]
    assert [things[0].name, things[2].size, things[-1].name] == ["d", 2, "b"]
    for beyond in (3, -4):
        with pytest.raises(IndexError):
            _ = things[beyond]


def test_no_rows_are_an_empty_sequence() -> None:
    assert list(partial_rows(range(0))) == []
    assert not partial_rows(range(0))


def test_changing_an_object_does_not_change_the_table() -> None:
    things = partial_rows(range(2))
    things[0].name = "changed"
    next(iter(things)).name = "changed"
    assert [item.name for item in things] == ["a", "b"]
    assert TABLE["name"] == ["a", "b", "c", "d"]


def contents_of(joined: ConcatenatedRows) -> tuple[int, list[object], list[object], list[object]]:
    """The length, both columns and the names of the objects."""
    return (
        len(joined),
        list(joined.column("name")),
        list(joined.column("size")),
        [item.name for item in joined],
    )


@pytest.mark.parametrize(
    ("lists", "names", "sizes"),
    [
        ([partial_rows(range(2)), partial_rows(range(3, 1, -1))], ["a", "b", "d", "c"], [1, 2, 4, 3]),
        (
            [partial_rows(range(2)), partial_rows(range(0)), partial_rows(range(3, 4))],
            ["a", "b", "d"],
            [1, 2, 4],
        ),
        ([partial_rows(range(4)[::-1])], ["d", "c", "b", "a"], [4, 3, 2, 1]),
        ([partial_rows(range(2, 3))], ["c"], [3]),
        ([partial_rows(range(0)), partial_rows(range(2, 3)), partial_rows(range(0))], ["c"], [3]),
        ([partial_rows(range(0)), partial_rows(range(0))], [], []),
        ([partial_rows(range(1)), partial_rows(range(1))], ["a", "a"], [1, 1]),
    ],
)
def test_lists_of_one_table_are_concatenated_to_one_column(
    lists: list[PartialRows], names: list[str], sizes: list[int]
) -> None:
    assert contents_of(ConcatenatedRows(lists)) == (len(names), names, sizes, names)


def test_lists_of_different_tables_are_concatenated_too() -> None:
    lists = [partial_rows(range(1, 3)), partial_rows(range(1, -1, -1), OTHER), partial_rows(range(1))]
    names = ["b", "c", "y", "x", "a"]
    assert contents_of(ConcatenatedRows(lists)) == (5, names, [2, 3, 9, 8, 1], names)


def test_tables_with_equal_values_are_distinguished() -> None:
    turned = {name: values[::-1] for name, values in TABLE.items()}
    lists = [partial_rows(range(2)), partial_rows(range(2), turned)]
    assert contents_of(ConcatenatedRows(lists)) == (
        4,
        ["a", "b", "d", "c"],
        [1, 2, 4, 3],
        ["a", "b", "d", "c"],
    )


def test_concatenated_rows_have_the_class_of_their_lists() -> None:
    assert ConcatenatedRows([partial_rows(range(1)), partial_rows(range(0))]).cls is Thing


SLICES = st.lists(st.tuples(st.sampled_from([0, 1]), st.slices(6)), min_size=1, max_size=5)


@given(SLICES)
def test_a_concatenated_column_has_the_attributes_in_the_order_of_the_objects(
    chosen: list[tuple[int, slice]],
) -> None:
    tables: list[Table] = [{"name": [f"{of}{number}" for number in range(6)]} for of in (0, 1)]
    expected = [name for of, places in chosen for name in tables[of]["name"][places]]
    joined = ConcatenatedRows(
        [PartialRows(Thing, Rows(tables[of], range(6)[places])) for of, places in chosen]
    )
    assert list(joined.column("name")) == [item.name for item in joined] == expected
    assert len(joined) == len(expected)


def test_a_slice_has_the_objects_of_its_rows() -> None:
    assert [item.name for item in partial_rows(range(4))[1:3]] == ["b", "c"]
