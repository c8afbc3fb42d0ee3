"""Rows of items: the rows of a plain table, or the lines of a format, as values of a dataset's fields."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from domain import exact_json
from domain.conversations import ItemFormat
from domain.datasets import Dataset
from domain.files.json_records import JsonRecord
from domain.files.recognition import Recognised, line_members
from domain.files.tables import Table
from domain.formulas import without_guards
from domain.import_formats import ImportFormat
from domain.item_problems import Problem, ProblemCode
from domain.items import VALUE_LIMIT, TableRow
from domain.line_formats.conversion import read_line
from domain.line_formats.lines import NotUnderstood, ReadLine

MAX_IGNORED_NAMES = 100
MAX_NAME_CHARS = 100
"""Most names of keys that were left out in a result, and most characters of one."""


class ItemRows(Protocol):
    """Reads rows with their values in the order of a dataset's fields, and counts what it changes or leaves out."""

    @property
    def unguarded(self) -> int:
        """The number of values from which guards of formulas were removed."""
        ...

    @property
    def ignored(self) -> Mapping[str, int]:
        """The number of lines that have each key that was left out."""
        ...

    def rows(self) -> Iterator[TableRow]:
        """All rows; raises `Invalid` where the file cannot be read on."""
        ...


@dataclass(slots=True)
class ColumnRows:
    """The rows of a plain table. `headers` are those of the dataset's fields; None is that of one without a column.

    Where `are_json`, the fields are JSON texts, as objects and arrays are.
    """

    table: Table
    headers: Sequence[str | None]
    is_guarded: bool = False
    are_json: bool = False
    unguarded: int = 0
    ignored: Counter[str] = field(default_factory=Counter[str])

    def rows(self) -> Iterator[TableRow]:
        columns = [header for header in self.headers if header is not None]
        for row in self.table.rows(columns):
            values = self._without_guards(row.values) if self.is_guarded else row.values
            problems = _without_nested(row.problems) if self.are_json else row.problems
            yield TableRow(row.line, self._with_absent(values), problems)

    def _without_guards(self, values: tuple[str, ...]) -> tuple[str, ...]:
        found = tuple([without_guards(value) for value in values])
        self.unguarded += sum(before != after for before, after in zip(values, found, strict=True))
        return found

    def _with_absent(self, values: tuple[str, ...]) -> tuple[str, ...]:
        if len(values) == len(self.headers):
            return values
        found = iter(values)
        return tuple(["" if header is None else next(found) for header in self.headers])


def _without_nested(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    return tuple(problem for problem in problems if problem.code is not ProblemCode.NOT_TEXT)


@dataclass(slots=True)
class LineRows:
    """The lines of a format, each of which is an item."""

    table: Table
    recognised: Recognised
    dataset: Dataset
    unguarded: int = 0
    ignored: Counter[str] = field(default_factory=Counter[str])

    def rows(self) -> Iterator[TableRow]:
        for record in self.table.records():
            try:
                values = self._values(record)
            except _Unreadable as unreadable:
                yield TableRow(record.line, ("",) * len(self.dataset.field_names), (unreadable.problem,))
            else:
                yield TableRow(record.line, values)

    def _values(self, record: JsonRecord) -> tuple[str, ...]:
        """The values of a line; raises `_Unreadable`."""
        if record.fault is not None:
            raise _Unreadable(ProblemCode.JSON_INVALID, record.fault)
        line = line_members(self.table, record)
        try:
            read = self._read(line)
        except NotUnderstood as error:
            message = f"Line {record.line:,}: {error.message}"
            raise _Unreadable(ProblemCode.CONVERSATION_INVALID, message) from None
        values = tuple([read.values[name] for name in self.dataset.field_names])
        if record.size > VALUE_LIMIT and max(map(len, values)) > VALUE_LIMIT:
            message = f"A value on line {record.line:,} has more than {VALUE_LIMIT:,} characters."
            raise _Unreadable(ProblemCode.JSON_INVALID, message)
        self.ignored.update(read.ignored)
        return values

    def _read(self, line: Mapping[str, Any]) -> ReadLine:
        """A line as values; of pairs, those of further fields are its members of the same names."""
        if self.dataset.item_format is not ItemFormat.PROMPT_COMPLETION:
            return read_line(self.recognised.import_format, line, self.dataset)
        self._check_pair(line)
        read = read_line(self.recognised.import_format, line, self.dataset)
        asked = {self.dataset.input_field, self.dataset.output_field}
        further = {
            name: _text_of(line.get(name, line.get(name.casefold())))
            for name in self.dataset.field_names
            if name not in asked
        }
        names = {name.casefold() for name in further}
        return ReadLine(
            read.values | further, tuple(name for name in read.ignored if name.casefold() not in names)
        )

    def _check_pair(self, line: Mapping[str, Any]) -> None:
        """Raise `NotUnderstood` for what a line in Alpaca's format has beyond a question and its answer."""
        if self.recognised.import_format is not ImportFormat.ALPACA:
            return
        for name in ("system", "history", "tools"):
            if line.get(name):
                raise NotUnderstood(
                    f"The line has `{name}`, which a pair of prompt and completion cannot hold; create the dataset "
                    "with itemFormat: CONVERSATION."
                )


class _Unreadable(Exception):
    """A line cannot be read as an item."""

    def __init__(self, code: ProblemCode, message: str) -> None:
        super().__init__(message)
        self.problem = Problem(code, message)


def _text_of(value: Any) -> str:
    """A member as the text of a field; raises `NotUnderstood` where it cannot be stored."""
    if isinstance(value, str):
        return value
    try:
        return "" if value is None else exact_json.dumps(value)
    except ValueError as error:
        raise NotUnderstood(f"The line cannot be stored: {error}") from None


def ignored_keys(ignored: Mapping[str, int]) -> list[dict[str, Any]]:
    """The first names of keys that were left out, sorted, each with the number of its lines."""
    names = sorted(ignored)[:MAX_IGNORED_NAMES]
    return [{"name": name[:MAX_NAME_CHARS], "lines": ignored[name]} for name in names]
