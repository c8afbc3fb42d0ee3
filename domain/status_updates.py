"""Status updates of datasets and fine-tunes, sent by external workers."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from domain.artifacts import ArtifactKind
from domain.datasets import RunStatus
from domain.errors import Conflict, Invalid
from domain.finetunes import InferenceSample
from domain.job_events import Metric

UNPROCESSABLE = "UNPROCESSABLE"
ALLOWED_TRANSITIONS = {
    RunStatus.PLANNING: frozenset({RunStatus.RUNNING, RunStatus.FAILED, RunStatus.DONE}),
    RunStatus.RUNNING: frozenset({RunStatus.RUNNING, RunStatus.FAILED, RunStatus.DONE}),
}
"""The statuses that an external worker may report, by the current status of the run."""
MAX_NAME = 60
"""Characters of an unknown field's name that an error shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedArtifact:
    """A file that an external worker has put into storage; `sha256` is in hexadecimal."""

    filename: str
    kind: ArtifactKind
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedResult:
    """Results of a finished run; None is unknown."""

    model_size_gb: float | None = None
    model_size_parameter: int | None = None
    model_dtype: str | None = None
    model_quantization: str | None = None
    training_time_seconds: float | None = None
    samples: tuple[InferenceSample, ...] = ()
    files: tuple[ReportedArtifact, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusUpdate:
    """A status update of an external worker. `metric.total_steps` is 0 where it is not reported."""

    status: RunStatus
    error: str | None = None
    progress: float | None = None
    current_step: str | None = None
    logs: tuple[str, ...] = ()
    metric: Metric | None = None
    result: ReportedResult = ReportedResult()


def unprocessable_error(message: str, field: str | None = None) -> Invalid:
    """The error for a status update that breaks a rule."""
    return Invalid(message, reason=UNPROCESSABLE, field=field)


def shown_name(name: str) -> str:
    """A name that a worker chose, as an error shows it: in one line, and cut when it is long."""
    shown = "".join(character if character.isprintable() else "?" for character in name[:MAX_NAME])
    return shown if len(name) <= MAX_NAME else f"{shown}…"


def unknown_field_error(path: str, name: str, fields: Iterable[str]) -> Invalid:
    """The error for a field that is none of `fields`; `path` is that of its object, with a dot at the end, or empty."""
    known = list(fields)
    in_snake_case = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[ -]", "_", name[:MAX_NAME]).lower()
    near = get_close_matches(in_snake_case, known, n=1, cutoff=0.8)
    hint = f"the nearest one is `{near[0]}`." if near else f"the fields here are {', '.join(known)}."
    where = path + shown_name(name)
    return unprocessable_error(f"`{where}` is not a field; {hint}", where)


def check_transition(current: RunStatus, reported: RunStatus, *, is_external: bool) -> bool:
    """Whether a status update changes the run; raises `Conflict` when the transition is not allowed."""
    if not is_external:
        raise Conflict("This run is not EXTERNAL: Luthier's own worker reports on it.", reason="NOT_EXTERNAL")
    if current is reported and current is not RunStatus.RUNNING:
        return False
    if reported not in ALLOWED_TRANSITIONS.get(current, frozenset()):
        raise Conflict(f"A run that is {current} cannot become {reported}.", reason="INVALID_TRANSITION")
    return True
