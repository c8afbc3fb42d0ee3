"""What the converters of all formats share: lines, what is read of one, and why one is refused."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Line: TypeAlias = Mapping[str, Any]
"""An object of a file, as `domain.exact_json.loads` gives it."""


class NotUnderstood(ValueError):
    """Why a line cannot be read, as a sentence; `message_index` is the index of the message where it is about one."""

    def __init__(self, message: str, message_index: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.message_index = message_index


class CannotHold(ValueError):
    """Why a format cannot hold an item, as a sentence."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True, slots=True)
class ReadLine:
    """The values of an item by the names of the dataset's fields, and the top-level keys that were left out."""

    values: dict[str, str]
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Converted:
    """A line in OpenAI's format, without further keys, and the top-level keys that were left out."""

    line: dict[str, Any]
    ignored: tuple[str, ...] = ()


def keys_beside(line: Line, known: Collection[str]) -> tuple[str, ...]:
    """The keys of a line that are not known, in its order."""
    return tuple(name for name in line if name not in known)


def shown(name: object, limit: int = 60) -> str:
    """A text for a message, cut where it is long."""
    text = str(name)
    return text if len(text) <= limit else f"{text[:limit]}…"
