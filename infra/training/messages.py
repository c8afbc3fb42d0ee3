"""How the training process's reports cross the pipe: one JSON object a line."""

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from domain.finetunes import ArtifactKind, InferenceSample, ParityReport
from domain.job_events import Checkpoint, LogLine, Metric, Progress
from domain.ports.trainer import ProducedFile, TrainingReport, TrainingResult
from domain.training_points import TrainingPoint


@dataclass(frozen=True, slots=True)
class Failed:
    """The process gives up; the sentence is for the user."""

    sentence: str


Message = TrainingReport | Failed


def encode(message: Message) -> bytes:
    """One line, newline included."""
    fields = {"kind": type(message).__name__, **asdict(message)}
    return json.dumps(fields, default=_plain).encode() + b"\n"


def decode(line: bytes) -> Message:
    """The message that `encode` made the line of."""
    fields: dict[str, Any] = json.loads(line)
    kind = fields.pop("kind")
    if kind == "Measured":
        return Metric(**fields | {"point": _point(fields["point"])})
    if kind == "TrainingResult":
        return _result(fields)
    flat: dict[str, type[Progress | Checkpoint | LogLine | Failed]] = {
        "Progress": Progress,
        "Checkpoint": Checkpoint,
        "Line": LogLine,
        "Failed": Failed,
    }
    return flat[kind](**fields)


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _point(fields: dict[str, Any]) -> TrainingPoint:
    return TrainingPoint(**fields | {"at": datetime.fromisoformat(fields["at"])})


def _file(fields: dict[str, Any]) -> ProducedFile:
    return ProducedFile(**fields | {"kind": ArtifactKind(fields["kind"]), "path": Path(fields["path"])})


def _result(fields: dict[str, Any]) -> TrainingResult:
    return TrainingResult(
        **fields
        | {
            "samples": tuple(InferenceSample(**each) for each in fields["samples"]),
            "files": tuple(_file(each) for each in fields["files"]),
            "parity": ParityReport(**fields["parity"]) if fields["parity"] else None,
            "warnings": tuple(fields["warnings"]),
        },
    )
