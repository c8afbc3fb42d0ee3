"""CSV for spreadsheets: what is written is read back, and no cell is a formula."""

import csv
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.files.csv_writer import csv_line
from domain.formulas import guarded, has_guard, is_formula, without_guards

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))


def read(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


@given(st.lists(TEXT, min_size=1, max_size=5))
@example([""])
@example(["a\rb", 'say "no"', " blank "])
def test_a_line_is_read_back_unchanged_except_for_guards(values: list[str]) -> None:
    assert read(csv_line(values)) == [[guarded(value) for value in values]]


@given(st.lists(st.lists(TEXT, min_size=2, max_size=2), max_size=5))
def test_lines_do_not_run_into_each_other(rows: list[list[str]]) -> None:
    assert read("".join(map(csv_line, rows))) == [[guarded(value) for value in row] for row in rows]


FORMULA_LIKE = st.text(st.sampled_from("'=+-@;\t\r\n\uff1d1a "), max_size=8)


@given(TEXT | FORMULA_LIKE)
@example("'=1")
@example("''=1")
@example("a;=1\n'-b")
@example("\n\nx")
@example("'-3.5")
def test_without_its_guards_a_text_is_the_one_that_was_guarded(value: str) -> None:
    assert without_guards(guarded(value)) == value


@given(TEXT | FORMULA_LIKE)
def test_a_guarded_text_is_no_formula(value: str) -> None:
    assert not is_formula(guarded(value))
    assert has_guard(guarded(value)) == (guarded(value) != value)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("a;=1+1", "a;'=1+1"),
        ("a\t@SUM(A1)", "a\t'@SUM(A1)"),
        ("- one\n- two", "'- one\n'- two"),
        ("a\r+1", "a\r'+1"),
        ("'=1", "''=1"),
        ("it's", "it's"),
        ("a; b", "a; b"),
    ],
)
def test_a_formula_within_a_cell_is_guarded_where_a_spreadsheet_may_split_it(
    cell: str, expected: str
) -> None:
    assert guarded(cell) == expected


def test_a_raw_line_has_formulas_as_they_are() -> None:
    assert csv_line(["=1", "-a"], raw=True) == "=1,-a\r\n"


@given(st.sampled_from("=+-@\t\r\n＝＋－＠"), TEXT)  # noqa: RUF001 - the full-width signs are the point
def test_no_cell_begins_as_a_formula_unless_it_is_a_number(sign: str, rest: str) -> None:
    escaped = guarded(sign + rest)
    assert without_guards(escaped) == sign + rest
    assert escaped.startswith("'") or rest.strip("0123456789.,eE+-%") == ""


@pytest.mark.parametrize("number", ["-3.5", "+7", "-1,234.56", "-1e-9", "-12%"])
def test_a_plain_number_stays_a_number(number: str) -> None:
    assert csv_line([number]) in {f"{number}\r\n", f'"{number}"\r\n'}
    assert guarded(number) == number


@pytest.mark.parametrize("formula", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "＝1+1"])  # noqa: RUF001
def test_a_formula_becomes_a_text(formula: str) -> None:
    assert guarded(formula) == f"'{formula}"


def test_commas_quotes_and_line_ends_are_quoted() -> None:
    assert csv_line(["a,b", 'c"d', "\ufeffe", "g"]) == '"a,b","c""d","\ufeffe",g\r\n'


def test_all_values_beside_one_of_several_lines_are_quoted() -> None:
    assert csv_line(["a", "b\r\nc", ""]) == '"a","b\r\nc",""\r\n'
