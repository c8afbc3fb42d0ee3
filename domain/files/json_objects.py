"""JSON objects of a text: one on each line, over several lines, or in an array. Numbers and inner values keep their text."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import starmap
from json.decoder import scanstring  # type: ignore[attr-defined]
from types import MappingProxyType
from typing import Any, NamedTuple, NoReturn

from domain.errors import Invalid
from domain.items import VALUE_LIMIT
from domain.texts import BYTE_ORDER_MARK, invalid_character

OBJECT_LIMIT = 8_388_608
"""Most characters of one object that is not on a line of its own."""
BLANKS = " \t\r\n" + BYTE_ORDER_MARK
BLANK = re.compile(f"[{BLANKS}]*")
BLANK_OR_COMMA = re.compile(f"[{BLANKS},]*")
JSON_BEGINNING = re.compile(r'\{\s*(\}|"(?:[^"\\]|\\.)*"\s*:)|\[\s*\{\s*("|\}|$)')
NEXT_BRACKET = re.compile(r'[^"{}\[\]]*+(?:"(?:[^"\\]|\\.)*+"[^"{}\[\]]*+)*+([{}\[\]])', re.DOTALL)
"""To the next bracket that is not within a string."""


class JsonRow(NamedTuple):
    """The members of an object that begins on `line` as texts, or why it is none (`fault`).

    `nested` are the names of the members that are objects or arrays.
    """

    line: int
    values: Mapping[str, str] = MappingProxyType({})
    nested: frozenset[str] = frozenset()
    fault: str | None = None


class _NamedTwice(ValueError):
    """An object has two members of one name."""


def begins_as_json(head: str) -> bool:
    """Whether a text that is called CSV is JSON: its first line begins an object with a name, or an array of objects."""
    first = _first_line(head)
    return first in {"{", "["} or JSON_BEGINNING.match(first) is not None


def is_one_value(head: str) -> bool:
    """Whether objects stand in an array or over several lines, as opposed to each on a line of its own."""
    first = _first_line(head)
    if first.startswith("["):
        return _parsed(first) is None or first[1:].lstrip().startswith(("{", "]"))
    is_whole = "\n" in head.lstrip(BLANKS) or "\r" in head.lstrip(BLANKS)
    return first == "{" or (
        is_whole and first.startswith("{") and first[-1] in "{[," and _parsed(first) is None
    )


def _first_line(head: str) -> str:
    return re.split("[\r\n]", head.lstrip(BLANKS), maxsplit=1)[0].strip(BLANKS)


def rows_of_lines(lines: Iterable[str]) -> Iterator[JsonRow]:
    """The objects of JSON Lines; a line that is none is a row with a fault."""
    return starmap(object_row, texts_of_lines(lines))


def texts_of_lines(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, each with its number and without the blanks around it."""
    for number, line in enumerate(lines, 1):
        if text := line.strip(BLANKS):
            yield number, text


def object_row(number: int, text: str) -> JsonRow:
    """A text as a row; with a fault where it is not one object."""
    try:
        value = DECODER.decode(text)
    except _NamedTwice as error:
        fault = f"Line {number:,}: the field '{error}' is named twice."
        return JsonRow(number, _values_in_spite_of_names(text), fault=fault)
    except RecursionError:
        return JsonRow(number, fault=f"Line {number:,} is nested too deeply.")
    except ValueError:
        return JsonRow(number, fault=f"Line {number:,} is not JSON.")
    if not isinstance(value, dict):
        return JsonRow(number, fault=f"Line {number:,} is not a JSON object.")
    return _row_of(number, value, text)


def _values_in_spite_of_names(text: str) -> dict[str, str]:
    """The texts of an object that names a field twice, so that what is wrong can be seen."""
    try:
        found = json.loads(text, parse_float=str, parse_int=str)
    except (ValueError, RecursionError):  # what follows the second name was not read yet
        return {}
    members = found.items() if isinstance(found, dict) else ()
    texts = {name: _as_text(value) for name, value in members if not isinstance(value, dict | list)}
    return {name: text for name, text in texts.items() if invalid_character(name + text) is None}


def _row_of(number: int, value: dict[str, Any], text: str) -> JsonRow:
    nested = frozenset([name for name, member in value.items() if isinstance(member, dict | list)])
    values = _with_raw_members(value, text) if nested else {name: _as_text(value[name]) for name in value}
    fault = None
    if "\\u" in text and (found := _invalid_character(values)) is not None:
        fault = f"Line {number:,} contains {found}."
    elif len(text) > VALUE_LIMIT and max(map(len, values.values()), default=0) > VALUE_LIMIT:
        fault = f"A value on line {number:,} has more than {VALUE_LIMIT:,} characters."
    return JsonRow(number, fault=fault) if fault else JsonRow(number, values, nested)


def _invalid_character(values: Mapping[str, str]) -> str | None:
    """What cannot be stored of names or values, in words. JSON has such characters as escapes only."""
    return next(filter(None, map(invalid_character, (*values, *values.values()))), None)


def _as_text(value: Any) -> str:
    if isinstance(value, str):  # a number is the text that stands in the file
        return value
    return "" if value is None else "true" if value else "false"


def _with_raw_members(value: dict[str, Any], text: str) -> dict[str, str]:
    """The members of the object in `text`, objects and arrays as they are written."""
    found, position = dict[str, str](), BLANK.match(text, text.index("{") + 1).end()  # type: ignore[union-attr]
    while len(found) < len(value):
        name, position = scanstring(text, position + 1, False)
        position = text.index(":", position) + 1
        position = BLANK.match(text, position).end()  # type: ignore[union-attr]
        _, end = DECODER.raw_decode(text, position)
        member = value[name]
        found[name] = text[position:end] if isinstance(member, dict | list) else _as_text(member)
        position = BLANK_OR_COMMA.match(text, end).end()  # type: ignore[union-attr]
    return found


def rows_of_text(pieces: Iterable[str]) -> Iterator[JsonRow]:
    """The objects of an array, or of a text of one after the other; raises `Invalid` where none can be found."""
    return starmap(object_row, texts_of_objects(pieces))


def texts_of_objects(pieces: Iterable[str]) -> Iterator[tuple[int, str]]:
    """The text of each object of an array or one after the other, wherever lines end, with its first line's number.

    Raises `Invalid` where no object can be found any more.
    """
    buffer = _Buffer(pieces)
    in_array = buffer.skip(BLANK) == "["
    if in_array:
        buffer.advance(1)
    while buffer.skip(BLANK_OR_COMMA) == "{":
        line = buffer.line
        yield line, buffer.object_text()
    if in_array and buffer.skip(BLANK) == "]":
        buffer.advance(1)
        in_array = False
    if in_array or buffer.skip(BLANK):
        _refuse(buffer.line)


class _Buffer:
    """A text of which only the object that is read next is in memory."""

    def __init__(self, pieces: Iterable[str]) -> None:
        self._pieces = iter(pieces)
        self._text = ""
        self._position = 0
        self.line = 1

    def skip(self, blank: re.Pattern[str]) -> str:
        """Go past what `blank` matches; the character after it, "" at the end."""
        while True:
            found = blank.match(self._text, self._position)
            self.advance(found.end() - self._position if found else 0)
            if self._position < len(self._text) or not self._read():
                return self._text[self._position : self._position + 1]

    def advance(self, count: int) -> str:
        """Go past so many characters, which are returned."""
        passed = self._text[self._position : self._position + count]
        self._position += count
        self.line += passed.count("\n") + passed.count("\r") - passed.count("\r\n")
        return passed

    def object_text(self) -> str:
        """The object at the position, to its closing brace; raises `Invalid` where it has none."""
        depth, offset = 0, 0
        while True:
            bracket = NEXT_BRACKET.match(self._text, self._position + offset)
            if bracket is None:
                if len(self._text) - self._position > OBJECT_LIMIT or not self._read():
                    _refuse(self.line)
                continue
            offset = bracket.end() - self._position
            depth += 1 if bracket[1] in "{[" else -1
            if not depth:
                return self.advance(offset)

    def _read(self) -> bool:
        """Read as much as is in memory, so that long objects are not searched again and again; False at the end."""
        pieces, size = [self._text[self._position :]], 0
        while size <= len(pieces[0]) and (piece := next(self._pieces, None)) is not None:
            pieces.append(piece)
            size += len(piece)
        self._text, self._position = "".join(pieces), 0
        return size > 0


def _refuse(line: int) -> NoReturn:
    raise Invalid(
        f"The JSON is malformed: from line {line:,} on no object can be read.", reason="NOT_A_TABLE"
    )


def _parsed(text: str) -> Any:
    """The value of a JSON text; None where it is none."""
    try:
        return DECODER.decode(text)
    except (ValueError, RecursionError):
        return None


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        raise _NamedTwice(next(name for name in found if counts[name] > 1)[:100])
    return found


def _refuse_constant(name: str) -> NoReturn:
    """NaN and the infinities, which Python reads but JSON does not have."""
    raise ValueError(name)


DECODER = json.JSONDecoder(
    object_pairs_hook=_members, parse_float=str, parse_int=str, parse_constant=_refuse_constant
)
