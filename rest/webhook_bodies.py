"""The body of a status report, read strictly: what breaks a rule is said in one sentence (422)."""

import math
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

from domain.datasets import RunStatus
from domain.finetunes import ArtifactKind, InferenceSample
from domain.job_events import Metric
from domain.rules import TEXT_LIMIT, safe_name
from domain.status_updates import ReportedArtifact, RunSummary, StatusUpdate, unprocessable
from domain.texts import text_problem
from domain.training_points import TrainingPoint

Choice = TypeVar("Choice", bound=StrEnum)


REPORTED = (RunStatus.RUNNING, RunStatus.FAILED, RunStatus.DONE)
MAX_LINES = 1_000
MAX_RECORDS = 1_000
MAX_INT = 2**31 - 1
MAX_BIGINT = 2**63 - 1
SHA256_CHARS = 64


class Fields:
    """A JSON object whose fields are asked for by type; `path` is where it stands in the body."""

    def __init__(self, values: Mapping[str, Any], path: str = "") -> None:
        self._values = values
        self._path = path

    def _name(self, name: str) -> str:
        return f"{self._path}{name}"

    def text(self, name: str, *, limit: int = TEXT_LIMIT) -> str | None:
        """A text that can be kept."""
        value = self._values.get(name)
        return None if value is None else _text(value, self._name(name), limit)

    def number(self, name: str, *, low: float = -math.inf, high: float = math.inf) -> float | None:
        """A finite number in a range."""
        value = self._values.get(name)
        if value is None:
            return None
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or abs(value) > MAX_BIGINT or not low <= value <= high:
            raise unprocessable(
                f"`{self._name(name)}` must be a number{_range(low, high)}.", self._name(name)
            )
        return float(value)

    def whole(self, name: str, *, high: int = MAX_INT) -> int | None:
        """A whole number from 0 on."""
        value = self._values.get(name)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= high:
            raise unprocessable(
                f"`{self._name(name)}` must be a whole number from 0 to {high}.", self._name(name)
            )
        return value

    def choice(self, name: str, choices: type[Choice]) -> Choice:
        """One of the words of an enum; it must be there."""
        value = self._values.get(name)
        if not isinstance(value, str) or value not in choices.__members__:
            raise unprocessable(f"`{self._name(name)}` is one of {', '.join(choices)}.", self._name(name))
        return choices(value)

    def record(self, name: str) -> "Fields | None":
        """An object."""
        value = self._values.get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise unprocessable(f"`{self._name(name)}` must be an object.", self._name(name))
        return Fields(value, f"{self._name(name)}.")

    def records(self, name: str) -> list["Fields"]:
        """Objects; none where the field is absent."""
        value = self._list(name, MAX_RECORDS)
        if not all(isinstance(it, dict) for it in value):
            raise unprocessable(f"`{self._name(name)}` must be an array of objects.", self._name(name))
        return [Fields(it, f"{self._name(name)}[{index}].") for index, it in enumerate(value)]

    def lines(self, name: str) -> tuple[str, ...]:
        """Lines, as an array of texts or as one text."""
        value = self._values.get(name)
        texts = value.splitlines() if isinstance(value, str) else self._list(name, MAX_LINES)
        lines = [line for it in texts for line in _text(it, self._name(name), TEXT_LIMIT).splitlines()]
        if len(lines) > MAX_LINES:
            raise unprocessable(f"`{self._name(name)}` may have at most {MAX_LINES} lines.", self._name(name))
        return tuple(lines)

    def _list(self, name: str, limit: int) -> list[Any]:
        value = self._values.get(name)
        if value is None:
            return []
        if not isinstance(value, list) or len(value) > limit:
            raise unprocessable(
                f"`{self._name(name)}` must be an array of at most {limit:,}.", self._name(name)
            )
        return value

    def required(self, name: str, value: Any) -> Any:
        """The value; raises `Invalid` when it is None."""
        if value is None:
            raise unprocessable(f"`{self._name(name)}` is missing.", self._name(name))
        return value


def _text(value: Any, name: str, limit: int) -> str:
    if not isinstance(value, str):
        raise unprocessable(f"`{name}` must be a text.", name)
    if len(value) > limit:
        raise unprocessable(f"`{name}` may have at most {limit:,} characters.", name)
    if problem := text_problem(value):
        raise unprocessable(f"`{name}` contains {problem}.", name)
    return value


def _range(low: float, high: float) -> str:
    """A range in words."""
    if math.isinf(low):
        return ""
    return f" from {low:g} on" if math.isinf(high) else f" from {low:g} to {high:g}"


def read_report(body: Mapping[str, Any], now: datetime) -> StatusUpdate:
    """A report; raises `Invalid` UNPROCESSABLE where the body breaks a rule."""
    fields = Fields(body)
    return StatusUpdate(
        status=_status(body.get("status")),
        error=fields.text("error"),
        progress=fields.number("progress", low=0, high=1),
        current_step=fields.text("current_step", limit=1_000),
        logs=fields.lines("logs"),
        metric=_measured(fields.record("metrics"), now),
        results=_results(fields.record("result")),
    )


def _status(word: Any) -> RunStatus:
    if word not in REPORTED:
        raise unprocessable(f"`status` is one of {', '.join(REPORTED)}.", "status")
    return RunStatus(word)


def _measured(fields: Fields | None, now: datetime) -> Metric | None:
    if fields is None:
        return None
    point = TrainingPoint(
        step=fields.required("step", fields.whole("step")),
        epoch=fields.number("epoch", low=0) or 0.0,
        train_loss=fields.number("train_loss"),
        eval_loss=fields.number("eval_loss"),
        perplexity=fields.number("perplexity", low=0),
        learning_rate=fields.number("learning_rate", low=0),
        at=_moment(fields, now),
    )
    return Metric(point, fields.whole("total_steps") or 0, fields.number("tokens_per_second", low=0))


def _moment(fields: Fields, now: datetime) -> datetime:
    """When it was measured; now where it is not told."""
    given = fields.text("at", limit=100)
    if given is None:
        return now
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        raise unprocessable(
            "`metrics.at` must be a moment such as 2026-01-31T12:00:00Z.", "metrics.at"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=now.tzinfo)


def _results(fields: Fields | None) -> RunSummary:
    if fields is None:
        return RunSummary()
    return RunSummary(
        model_size_gb=fields.number("model_size_gb", low=0),
        model_size_parameter=fields.whole("model_size_parameter", high=MAX_BIGINT),
        model_dtype=fields.text("model_dtype", limit=100),
        model_quantization=fields.text("model_quantization", limit=100),
        training_time_seconds=fields.number("training_time_seconds", low=0),
        samples=tuple(_sample(it) for it in fields.records("inference_samples")),
        files=tuple(_file(it) for it in fields.records("artifacts")),
    )


def _sample(fields: Fields) -> InferenceSample:
    return InferenceSample(
        prompt=fields.required("prompt", fields.text("prompt")),
        expected=fields.text("expected"),
        base_output=fields.text("base_output"),
        tuned_output=fields.required("tuned_output", fields.text("tuned_output")),
    )


def _file(fields: Fields) -> ReportedArtifact:
    name = fields.required("filename", fields.text("filename", limit=255))
    if name != safe_name(name) or name.strip(".") == "":
        raise unprocessable(
            f"`{name}` is no file name of an artifact: it has letters, digits and ._- only.",
            "result.artifacts",
        )
    sha256 = fields.required("sha256", fields.text("sha256", limit=SHA256_CHARS))
    if len(sha256) != SHA256_CHARS or not all(it in "0123456789abcdefABCDEF" for it in sha256):
        raise unprocessable(f"The `sha256` of {name} must be 64 hexadecimal digits.", "result.artifacts")
    return ReportedArtifact(filename=name, kind=fields.choice("kind", ArtifactKind), sha256=sha256)
