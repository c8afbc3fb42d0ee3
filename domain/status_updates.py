"""What a worker of the user's reports on a dataset or a fine-tune."""

from dataclasses import dataclass

from domain.datasets import RunStatus
from domain.errors import Conflict, Invalid
from domain.finetunes import ArtifactKind, InferenceSample
from domain.job_events import Metric

UNPROCESSABLE = "UNPROCESSABLE"
UNDER_WAY = frozenset({RunStatus.PLANNING, RunStatus.RUNNING})
REPORTABLE = {
    RunStatus.PLANNING: frozenset({RunStatus.RUNNING, RunStatus.FAILED, RunStatus.DONE}),
    RunStatus.RUNNING: frozenset({RunStatus.RUNNING, RunStatus.FAILED, RunStatus.DONE}),
}
"""Which status a worker of the user's may report, by the status that a run has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedArtifact:
    """A file that the worker says it left."""

    filename: str
    kind: ArtifactKind
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """What a finished run says of itself; null is unknown."""

    model_size_gb: float | None = None
    model_size_parameter: int | None = None
    model_dtype: str | None = None
    model_quantization: str | None = None
    training_time_seconds: float | None = None
    samples: tuple[InferenceSample, ...] = ()
    files: tuple[ReportedArtifact, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusUpdate:
    """One call of an external worker. `total_steps` of what it measured is 0 where it does not say."""

    status: RunStatus
    error: str | None = None
    progress: float | None = None
    current_step: str | None = None
    logs: tuple[str, ...] = ()
    metric: Metric | None = None
    results: RunSummary = RunSummary()


def unprocessable(message: str, field: str | None = None) -> Invalid:
    """What is said of a report that breaks a rule."""
    return Invalid(message, reason=UNPROCESSABLE, field=field)


def check_transition(current: RunStatus, reported: RunStatus, *, is_external: bool) -> bool:
    """Whether a report changes anything; raises `Conflict` when it may not be made."""
    if not is_external:
        raise Conflict("This run is not EXTERNAL: Luthier's own worker reports on it.", reason="NOT_EXTERNAL")
    if current is reported and current is not RunStatus.RUNNING:
        return False
    if reported not in REPORTABLE.get(current, frozenset()):
        raise Conflict(f"A run that is {current} cannot become {reported}.", reason="INVALID_TRANSITION")
    return True
