"""The encoding of the training process's messages on the pipe: one JSON object a line, tagged with its `kind`."""

import json
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Discriminator, Tag, TypeAdapter, ValidationError

from domain.job_events import Checkpoint, LogLine, Metric, Progress
from domain.ports.trainer import ItemsPrepared, TrainingResult


@dataclass(frozen=True, slots=True)
class Failed:
    """The process gives up; `message` is one sentence for the user."""

    message: str


def _kind(message: Any) -> str | None:
    return message.get("kind") if isinstance(message, dict) else type(message).__name__


Message = Annotated[
    Annotated[ItemsPrepared, Tag("ItemsPrepared")]
    | Annotated[Progress, Tag("Progress")]
    | Annotated[Metric, Tag("Metric")]
    | Annotated[Checkpoint, Tag("Checkpoint")]
    | Annotated[LogLine, Tag("LogLine")]
    | Annotated[TrainingResult, Tag("TrainingResult")]
    | Annotated[Failed, Tag("Failed")],
    Discriminator(_kind),
]
_MESSAGE: TypeAdapter[Message] = TypeAdapter(Message)


def encode(message: Message) -> bytes:
    """One line, newline included."""
    fields = {"kind": _kind(message), **_MESSAGE.dump_python(message, mode="json")}
    return json.dumps(fields).encode() + b"\n"


def decode(line: bytes) -> Message:
    """The message that `encode` made the line of. Raises `ValueError` with what is wrong with another line."""
    try:
        return _MESSAGE.validate_json(line, strict=True)
    except ValidationError as error:
        raise ValueError(f"The training process sent a line that is none of its messages: {error}") from error
