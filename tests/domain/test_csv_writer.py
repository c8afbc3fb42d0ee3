"""CSV for spreadsheets: what is written is read back, and no cell is a formula."""

import csv
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.files.csv_writer import csv_line, escape_formula

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))


def read(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


@given(st.lists(TEXT, min_size=1, max_size=5))
@example([""])
@example(["a\rb", 'say "no"', " blank "])
def test_a_line_is_read_back_unchanged_except_for_escaped_formulas(values: list[str]) -> None:
    assert read(csv_line(values)) == [[escape_formula(value) for value in values]]


@given(st.lists(st.lists(TEXT, min_size=2, max_size=2), max_size=5))
def test_lines_do_not_run_into_each_other(rows: list[list[str]]) -> None:
    assert read("".join(map(csv_line, rows))) == [[escape_formula(value) for value in row] for row in rows]


@given(st.sampled_from("=+-@\t\r\n＝＋－＠"), TEXT)  # noqa: RUF001 - the full-width signs are the point
def test_no_cell_begins_as_a_formula_unless_it_is_a_number(sign: str, rest: str) -> None:
    escaped = escape_formula(sign + rest)
    assert escaped in {f"'{sign}{rest}", sign + rest}
    assert escaped.startswith("'") or rest.strip("0123456789.,eE+-%") == ""


@pytest.mark.parametrize("number", ["-3.5", "+7", "-1,234.56", "-1e-9", "-12%"])
def test_a_plain_number_stays_a_number(number: str) -> None:
    assert csv_line([number]) in {f"{number}\r\n", f'"{number}"\r\n'}
    assert escape_formula(number) == number


@pytest.mark.parametrize("formula", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "＝1+1"])  # noqa: RUF001
def test_a_formula_becomes_a_text(formula: str) -> None:
    assert escape_formula(formula) == f"'{formula}"


def test_commas_quotes_and_line_ends_are_quoted() -> None:
    assert csv_line(["a,b", 'c"d', "e\nf", "g"]) == '"a,b","c""d","e\nf",g\r\n'
