"""What the converters of all formats share: lines, what is read of one, and why one is refused."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Line: TypeAlias = Mapping[str, Any]
"""An object of a file, as `domain.exact_json.loads` gives it."""


NO_CONVERSATION = "it is invalid and not made of messages"
"""Why no format can hold an item whose line could not be read."""


class NotUnderstood(ValueError):
    """Why a line cannot be read, as a sentence in `message`.

    With `message_index`, the index of the message that it is about, `text` is a predicate: the sentence begins with
    "Message 1", which is the first.
    """

    def __init__(self, text: str, message_index: int | None = None) -> None:
        self.message = text if message_index is None else f"Message {message_index + 1} {text}"
        self.message_index = message_index
        super().__init__(self.message)


class CannotHold(ValueError):
    """Why a format cannot hold an item, as a clause such as "it has `tools`"; messages are counted from 1."""

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
    """A text of the file in quotation marks, cut where it is long."""
    return f"'{str(name)[:limit]}'"


MEDIA = ("image", "images", "video", "videos", "audio", "audios")


def check_is_text(line: Line) -> None:
    """Raise `NotUnderstood` for a line with images, videos or audio, or that says whether its answer is a good one."""
    if media := [name for name in MEDIA if line.get(name)]:
        raise NotUnderstood(f"The line has `{media[0]}`; only texts can be learned.")
    if line.get("kto_tag") is not None:
        raise NotUnderstood(
            "The line has `kto_tag`: answers that are marked as good or bad one by one cannot be learned, but pairs "
            "of a better and a worse answer can."
        )


def text_of(line: Line, name: str) -> str:
    """The text of a key; raises `NotUnderstood` where it is none."""
    value = line.get(name)
    if not isinstance(value, str):
        raise NotUnderstood(f"`{name}` is not a text." if name in line else f"The line has no `{name}`.")
    return value


def optional_text_of(line: Line, name: str) -> str:
    """The text of a key, empty where it is null or absent; raises `NotUnderstood` where it is none."""
    return "" if line.get(name) is None else text_of(line, name)
