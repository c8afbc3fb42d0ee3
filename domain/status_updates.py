"""Status updates of datasets and fine-tunes, sent by external workers."""

from dataclasses import dataclass

from domain.datasets import RunStatus
from domain.errors import Conflict, Invalid
from domain.finetunes import ArtifactKind, InferenceSample
from domain.job_events import Metric

UNPROCESSABLE = "UNPROCESSABLE"
ALLOWED_TRANSITIONS = {
    RunStatus.PLANNING: frozenset({RunStatus.RUNNING, RunStatus.FAILED, RunStatus.DONE}),
    RunStatus.RUNNING: frozenset({RunStatus.RUNNING, RunStatus.FAILED, RunStatus.DONE}),
}
"""The statuses that an external worker may report, by the current status of the run."""


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


def check_transition(current: RunStatus, reported: RunStatus, *, is_external: bool) -> bool:
    """Whether a status update changes the run; raises `Conflict` when the transition is not allowed."""
    if not is_external:
        raise Conflict("This run is not EXTERNAL: Luthier's own worker reports on it.", reason="NOT_EXTERNAL")
    if current is reported and current is not RunStatus.RUNNING:
        return False
    if reported not in ALLOWED_TRANSITIONS.get(current, frozenset()):
        raise Conflict(f"A run that is {current} cannot become {reported}.", reason="INVALID_TRANSITION")
    return True
