"""Tables as .xlsx files: what a program reads from them is what was written, as text."""

import io
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook
from openpyxl.utils.escape import unescape

from domain.errors import Conflict
from rest import xlsx_tables
from rest.xlsx_tables import MAX_ROWS, MAX_UNITS, XlsxTable, utf16_units

TRICKY = (
    "007", "1e5", "-3.5", "2026-01-31", "TRUE", "=1+1", "+1", "@x", "'quoted'", "https://example.org",
    "mailto:me@example.org", "#N/A", "", " ", "  both ends\t", "a\nb", "a\r\nb", "\r", "\t", "\x01\x1f\x7f\x85",
    "_x0041_", "_x0041_x0042_", "_x005F_", "_x000\r", "_x005F\r", "_x00e4\ufffe", "__x0041__", "\ufffe\uffff",
    "\ufeff", "\u2028", "<r>bold</r>", "<r>_x0041_\r</r>", "<r>", "</r>", "<b>&amp;</b>", '"', "]]>", "😀" * 3,
    "{=1}", "{1,2}",
)  # fmt: skip
PIECES = ("_x", "_", "x00", "41", "5F", "\r", "\x1f", "\uffff", "<r>", "</r>", "&", " ", "\n", "=", "0", "😀")
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    st.lists(st.sampled_from(PIECES)).map("".join),
)


def written(folder: Path, names: Sequence[str], rows: Iterator[Sequence[str]]) -> io.BytesIO:
    file = io.BytesIO()
    with closing(XlsxTable(file, folder, names)) as table:
        table.add(rows)
        table.save()
    assert list(folder.iterdir()) == []
    return file


def read(file: io.BytesIO) -> list[list[str]]:
    """All cells as text, the way Excel reads them; openpyxl leaves the escapes of inline texts to its caller."""
    (sheet,) = load_workbook(file).worksheets
    cells = [list(row) for row in sheet.iter_rows()]
    assert {cell.data_type for row in cells for cell in row if cell.value is not None} <= {"s"}
    assert {cell.number_format for row in cells for cell in row} == {"@"}
    assert {cell.hyperlink for row in cells for cell in row} == {None}
    return [[unescape(cell.value or "") for cell in row] for row in cells]


def test_every_cell_is_the_text_that_was_written(tmp_path: Path) -> None:
    rows = [[text, f"{text}{text}"] for text in TRICKY]
    assert read(written(tmp_path, ["=a", "_x0041_"], iter(rows))) == [["=a", "_x0041_"], *rows]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=20))
def test_any_texts_come_back(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    expected = [["a", "b"], *map(list, rows)]
    assert read(written(tmp_path, ["a", "b"], iter(rows))) == expected


def test_a_cell_holds_exactly_the_limit_of_excel(tmp_path: Path) -> None:
    fits = ["x" * MAX_UNITS, "😀" * (MAX_UNITS // 2), "\r" * MAX_UNITS]
    assert read(written(tmp_path, ["a"], ([text] for text in fits)))[1:] == [[text] for text in fits]
    assert utf16_units("a😀") == 3


@pytest.mark.parametrize("text", ["x" * (MAX_UNITS + 1), "😀" * (MAX_UNITS // 2) + "ab"])
def test_a_longer_text_is_refused_with_its_place(tmp_path: Path, text: str) -> None:
    with pytest.raises(Conflict) as refused:
        written(tmp_path, ["question", "answer"], iter([["a", "b"], ["c", text]]))
    assert refused.value.reason == "FORMAT_CANNOT_HOLD"
    assert refused.value.message == (
        "An .xlsx file holds at most 32,767 characters in a cell (UTF-16 code units), and `answer` in row 2 has "
        "32,768: download the dataset as csv or jsonl."
    )
    assert refused.value.context == {"limit": 32_767, "actual": 32_768, "row": 2, "field": "answer"}


def test_more_rows_than_a_sheet_has_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx_tables, "MAX_ROWS", 2)
    assert len(read(written(tmp_path, ["a"], iter([["1"], ["2"]])))) == 3
    with pytest.raises(Conflict, match="at most 2 rows, and these are more") as refused:
        written(tmp_path, ["a"], iter([["1"], ["2"], ["3"]]))
    assert refused.value.reason == "FORMAT_CANNOT_HOLD"


def test_a_sheet_has_a_row_for_the_header_and_for_each_item(tmp_path: Path) -> None:
    table = XlsxTable(io.BytesIO(), tmp_path, ["a"])
    assert table._sheet.write_string(MAX_ROWS, 0, "the last row") == 0
    assert table._sheet.write_string(MAX_ROWS + 1, 0, "no row") == -1
    table.close()
