"""Lines of each format as the values of a dataset's items, and items as lines."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from domain import exact_json
from domain.datasets import Dataset
from domain.import_formats import ImportFormat
from domain.line_formats import alpaca, openai, sharegpt, trl
from domain.line_formats.item_values import line_of, values_of
from domain.line_formats.lines import NO_CONVERSATION, CannotHold, Converted, Line, NotUnderstood, ReadLine


class LineFormat(NamedTuple):
    """A format: `read` gives the line in OpenAI's format, raising `NotUnderstood`, and `write` takes such a line.

    `write` raises `CannotHold`.
    """

    read: Callable[[Line], Converted]
    write: Callable[[Line], dict[str, Any]]


LINE_FORMATS: Mapping[ImportFormat, LineFormat] = {
    ImportFormat.OPENAI: LineFormat(openai.read, openai.write),
    ImportFormat.ALPACA: LineFormat(alpaca.read, alpaca.write),
    ImportFormat.SHAREGPT: LineFormat(sharegpt.read, sharegpt.write),
    ImportFormat.TRL: LineFormat(trl.read, trl.write),
}
"""The formats of lines that are conversations, preference pairs, or prompts with completions."""


def read_line(format: ImportFormat, line: Line, dataset: Dataset) -> ReadLine:
    """The values of an item of the dataset, of a line in the format; raises `NotUnderstood`."""
    converted = convert_line(format, line)
    return ReadLine(values_of(converted.line, dataset), converted.ignored)


def convert_line(format: ImportFormat, line: Line) -> Converted:
    """The line in OpenAI's format; raises `NotUnderstood`, also for values that cannot be written as JSON."""
    try:
        return LINE_FORMATS[format].read(line)
    except RecursionError:
        raise NotUnderstood("The line is nested too deeply.") from None
    except NotUnderstood:
        raise
    except ValueError as error:
        raise NotUnderstood(f"The line cannot be stored: {error}") from None


def write_line(format: ImportFormat, values: Sequence[str], dataset: Dataset) -> dict[str, Any]:
    """The line in the format, of an item's values; raises `CannotHold`."""
    try:
        line = line_of(values, dataset)
    except ValueError:
        raise CannotHold(NO_CONVERSATION) from None
    return LINE_FORMATS[format].write(line)


def write_text(format: ImportFormat, values: Sequence[str], dataset: Dataset) -> str:
    """The JSON text of the line in the format, of an item's values; raises `CannotHold`."""
    line = write_line(format, values, dataset)
    try:
        return exact_json.dumps(line)
    except ValueError:
        raise CannotHold(NO_CONVERSATION) from None
