"""Tables as .xlsx files whose cells are all text: nothing becomes a number, a date, a formula or a link."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO

from xlsxwriter import Workbook
from xlsxwriter.worksheet import Worksheet

from domain.errors import Conflict

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MAX_ROWS = 1_048_575
"""Rows of a sheet, without the header. Its 16,384 columns are more than the fields that a dataset may have."""
MAX_UNITS = 32_767
"""UTF-16 code units of a cell."""
ESCAPED = re.compile(
    r"[\x00-\x08\x0b-\x1f\ufffe\uffff]|_(?=x[0-9a-fA-F]{4}[_\x00-\x08\x0b-\x1f\ufffe\uffff])|^<(?=r>)"
)
"""What is written as `_xHHHH_`: characters that XML does not have, or would change (CR); an underscore that would be
read as the beginning of an escape; and a `<` at which XlsxWriter would take the text for the XML of a formatted one."""
OPTIONS = {
    "constant_memory": True,  # one row; the rows before it are in a file in `tmpdir`
    "strings_to_numbers": False,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "use_zip64": True,
}


class _TextSheet(Worksheet):  # type: ignore[misc]  # XlsxWriter is untyped
    @staticmethod
    def _escape_control_characters(data: str) -> str:
        """Replaces XlsxWriter's own, which leaves the second of two overlapping escapes as it is: `_x0041_x0042_`."""
        return ESCAPED.sub(lambda match: f"_x{ord(match[0]):04X}_", data)

    def close_rows(self) -> None:
        """Close the file of the rows."""
        self._opt_close()


class XlsxTable:
    """A workbook of one sheet that is written to `file` by `save`; its temporary files are in `folder`."""

    def __init__(self, file: IO[bytes], folder: Path, names: Sequence[str]) -> None:
        self._workbook = Workbook(file, OPTIONS | {"tmpdir": str(folder)})
        self._sheet = self._workbook.add_worksheet(worksheet_class=_TextSheet)
        text = self._workbook.add_format({"num_format": "@"})
        self._sheet.set_column(0, len(names) - 1, None, text)  # a cell that is edited stays text
        self._names = names
        self._rows = 0
        self._write(0, names)

    def add(self, rows: Iterable[Sequence[str]]) -> None:
        """Append rows; raises `Conflict` FORMAT_CANNOT_HOLD."""
        for row in rows:
            self._rows += 1
            self._check(row)
            self._write(self._rows, row)

    def _check(self, row: Sequence[str]) -> None:
        if self._rows > MAX_ROWS:
            raise _cannot_hold_error(f"at most {MAX_ROWS:,} rows, and these are more", limit=MAX_ROWS)
        for name, value in zip(self._names, row, strict=True):
            if len(value) > MAX_UNITS // 2 and (units := utf16_units(value)) > MAX_UNITS:
                problem = (
                    f"at most {MAX_UNITS:,} characters in a cell (UTF-16 code units), "
                    f"and `{name}` in row {self._rows:,} has {units:,}"
                )
                raise _cannot_hold_error(problem, limit=MAX_UNITS, actual=units, row=self._rows, field=name)

    def _write(self, index: int, values: Sequence[str]) -> None:
        for column, value in enumerate(values):
            self._sheet.write_string(index, column, value)

    def save(self) -> None:
        """Write the file."""
        self._workbook.close()

    def close(self) -> None:
        """Close the temporary files, also of a table that was not saved."""
        self._sheet.close_rows()


def utf16_units(text: str) -> int:
    """The length of a text in UTF-16 code units."""
    return len(text.encode("utf-16-le")) // 2


def _cannot_hold_error(problem: str, **context: object) -> Conflict:
    message = f"An .xlsx file holds {problem}: download the dataset as csv or jsonl."
    return Conflict(message, reason="FORMAT_CANNOT_HOLD", context=context)
