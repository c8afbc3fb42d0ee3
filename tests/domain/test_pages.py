"""Rows in columns, and shapes of page requests."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from domain.pages import PageRequest, Rows, dicts_of

NAMES, SIZES = ("a", "b", "c", "d"), (1, 2, 3, 4)
TABLE = {"name": NAMES, "size": SIZES}
CURSOR = st.none() | st.text(min_size=1)
PAGES = st.builds(PageRequest, st.integers(1, 100), CURSOR, CURSOR, st.booleans())


def test_rows_are_those_at_the_indices_of_a_table() -> None:
    rows = Rows(TABLE, range(1, 3))
    assert len(rows) == 2
    assert rows.all() == [{"name": "b", "size": 2}, {"name": "c", "size": 3}]
    assert rows.column("name") == ("b", "c")
    assert (rows.at(0), rows.at(1), rows.at(-1)) == (*rows.all(), {"name": "c", "size": 3})


@pytest.mark.parametrize("index", [2, -3])
def test_there_is_no_row_beyond_the_last_one_though_the_table_has_more(index: int) -> None:
    with pytest.raises(IndexError):
        Rows(TABLE, range(1, 3)).at(index)


@pytest.mark.parametrize(
    ("indices", "names"),
    [
        (range(3, -1, -1), ("d", "c", "b", "a")),
        (range(3, -1, -2), ("d", "b")),
        (range(2, -2, -2), ("c", "a")),
        (range(2, 0, -1), ("c", "b")),
        (range(1, 0, -1), ("b",)),
        (range(0, -1, -1), ("a",)),
        (range(4)[-2::-1], ("c", "b", "a")),
    ],
)
def test_rows_may_be_read_backward_down_to_the_first(indices: range, names: tuple[str, ...]) -> None:
    rows = Rows(TABLE, indices)
    assert rows.column("name") == names
    assert [row["name"] for row in rows.all()] == list(names)
    assert rows.at(0)["name"] == names[0]
    assert rows.at(-1)["name"] == names[-1]


@pytest.mark.parametrize(
    "indices", [range(0), range(2, 2), range(3, 1), range(4)[::-1][4:], range(-1, -1, -1)]
)
def test_empty_indices_are_no_rows(indices: range) -> None:
    rows = Rows(TABLE, indices)
    assert (len(rows), list(rows.column("name")), rows.all()) == (0, [], [])


@given(st.data(), st.lists(st.tuples(st.integers(), st.text())))
def test_slices_of_rows_are_those_of_a_list_of_dicts(
    data: st.DataObject, values: list[tuple[int, str]]
) -> None:
    dicts = [{"number": number, "text": text} for number, text in values]
    columns = {"number": [number for number, _ in values], "text": tuple(text for _, text in values)}
    first = data.draw(st.slices(len(values)))
    second = data.draw(st.slices(len(values[first])))
    rows, expected = Rows(columns, range(len(values))[first][second]), dicts[first][second]
    assert rows.all() == expected
    assert len(rows) == len(expected)
    assert [rows.at(index) for index in range(-len(expected), len(expected))] == expected * 2
    for name in columns:
        assert list(rows.column(name)) == [row[name] for row in expected]


def test_dicts_are_made_of_any_iterables_of_the_right_length() -> None:
    dicts = dicts_of({"b": iter([1, 2]), "a": {"x": 0, "y": 0}}, 2)
    assert dicts == [{"b": 1, "a": "x"}, {"b": 2, "a": "y"}]
    assert [list(row) for row in dicts] == [["b", "a"], ["b", "a"]]


def test_each_row_is_a_dict_of_its_own() -> None:
    first, second = dicts_of({"a": [1, 1]}, 2)
    first["a"] = 2
    assert second == {"a": 1}


def test_rows_without_columns_are_empty_dicts() -> None:
    assert dicts_of({}, 2) == [{}, {}]
    assert dicts_of({"a": []}, 0) == []


@pytest.mark.parametrize("values", [[1], [1, 2, 3], []])
def test_a_column_with_too_few_or_too_many_values_is_refused(values: list[int]) -> None:
    with pytest.raises(ValueError, match="zip"):
        dicts_of({"a": [1, 2], "b": values}, 2)


@given(PAGES, st.text(min_size=1), st.text(min_size=1))
def test_requests_that_differ_in_their_cursors_alone_have_the_same_shape(
    page: PageRequest, after: str, before: str
) -> None:
    other = PageRequest(page.size, page.after and after, page.before and before, page.backward)
    assert page.shape == other.shape == page.shape.shape


@given(PAGES, PAGES)
def test_requests_that_differ_in_more_than_their_cursors_have_different_shapes(
    one: PageRequest, other: PageRequest
) -> None:
    def kind(page: PageRequest) -> tuple[object, ...]:
        return page.size, page.backward, page.after is None, page.before is None

    assume(kind(one) != kind(other))
    assert one.shape != other.shape


def test_a_shape_has_an_empty_text_for_each_cursor() -> None:
    assert PageRequest(5, "x", None, backward=True).shape == PageRequest(5, "", None, backward=True)
    assert PageRequest(5, None, "y").shape == PageRequest(5, None, "")
    assert PageRequest().shape == PageRequest()
