import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from domain.pages import Page, Rows, records

NAMES, SIZES = ("a", "b", "c", "d"), (1, 2, 3, 4)
TABLE = {"name": NAMES, "size": SIZES}
CURSOR = st.none() | st.text(min_size=1)
PAGES = st.builds(Page, st.integers(1, 100), CURSOR, CURSOR, st.booleans())


def test_rows_are_those_at_some_places_of_a_table() -> None:
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
    ("places", "names"),
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
def test_rows_may_be_read_backward_down_to_the_first(places: range, names: tuple[str, ...]) -> None:
    rows = Rows(TABLE, places)
    assert rows.column("name") == names
    assert [it["name"] for it in rows.all()] == list(names)
    assert rows.at(0)["name"] == names[0]
    assert rows.at(-1)["name"] == names[-1]


@pytest.mark.parametrize(
    "places", [range(0), range(2, 2), range(3, 1), range(4)[::-1][4:], range(-1, -1, -1)]
)
def test_no_places_are_no_rows(places: range) -> None:
    rows = Rows(TABLE, places)
    assert (len(rows), list(rows.column("name")), rows.all()) == (0, [], [])


@given(st.data(), st.lists(st.tuples(st.integers(), st.text())))
def test_rows_are_what_a_list_of_dicts_would_be(data: st.DataObject, values: list[tuple[int, str]]) -> None:
    dicts = [{"number": number, "text": text} for number, text in values]
    columns = {"number": [it[0] for it in values], "text": tuple(it[1] for it in values)}
    first = data.draw(st.slices(len(values)))
    second = data.draw(st.slices(len(values[first])))
    rows, expected = Rows(columns, range(len(values))[first][second]), dicts[first][second]
    assert rows.all() == expected
    assert len(rows) == len(expected)
    assert [rows.at(it) for it in range(-len(expected), len(expected))] == expected * 2
    for name in columns:
        assert list(rows.column(name)) == [it[name] for it in expected]


def test_records_are_made_of_whatever_has_as_many_values() -> None:
    made = records({"b": iter([1, 2]), "a": {"x": 0, "y": 0}}, 2)
    assert made == [{"b": 1, "a": "x"}, {"b": 2, "a": "y"}]
    assert [list(it) for it in made] == [["b", "a"], ["b", "a"]]


def test_each_record_is_its_own() -> None:
    first, second = records({"a": [1, 1]}, 2)
    first["a"] = 2
    assert second == {"a": 1}


def test_records_without_columns_are_empty_and_none_are_none() -> None:
    assert records({}, 2) == [{}, {}]
    assert records({"a": []}, 0) == []


@pytest.mark.parametrize("values", [[1], [1, 2, 3], []])
def test_a_column_with_too_few_or_too_many_values_is_refused(values: list[int]) -> None:
    with pytest.raises(ValueError, match="zip"):
        records({"a": [1, 2], "b": values}, 2)


@given(PAGES, st.text(min_size=1), st.text(min_size=1))
def test_pages_from_other_places_have_the_same_shape(page: Page, after: str, before: str) -> None:
    elsewhere = Page(page.size, page.after and after, page.before and before, page.backward)
    assert page.shape == elsewhere.shape == page.shape.shape


@given(PAGES, PAGES)
def test_pages_that_differ_in_more_than_their_places_have_different_shapes(one: Page, other: Page) -> None:
    def kind(page: Page) -> tuple[object, ...]:
        return page.size, page.backward, page.after is None, page.before is None

    assume(kind(one) != kind(other))
    assert one.shape != other.shape


def test_a_shape_keeps_that_there_is_a_cursor_but_not_which() -> None:
    assert Page(5, "x", None, backward=True).shape == Page(5, "", None, backward=True)
    assert Page(5, None, "y").shape == Page(5, None, "")
    assert Page().shape == Page()
