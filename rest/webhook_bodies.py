"""The body of a status update: its fields, their bounds, and one sentence (422) for a body that breaks one."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic.config import JsonDict
from pydantic_core import ErrorDetails, PydanticCustomError

from domain.artifacts import ArtifactKind
from domain.datasets import RunStatus
from domain.errors import Invalid
from domain.finetunes import InferenceSample
from domain.job_events import Metric
from domain.rules import TEXT_LIMIT, is_storable_time, safe_name
from domain.status_updates import (
    ReportedArtifact,
    ReportedResult,
    StatusUpdate,
    shown_name,
    unknown_field_error,
    unprocessable_error,
)
from domain.texts import invalid_character
from domain.training_points import TrainingPoint
from rest.operations import model_schema
from rest.validation_errors import path_of, problem_of

MAX_INT = 2**31 - 1
MAX_BIGINT = 2**63 - 1
UNKNOWN = "unknown_field"


def _storable(value: object) -> object:
    if isinstance(value, str) and (problem := invalid_character(value)):
        raise ValueError(f"contains {problem}")
    return value


def _integer(value: object) -> object:
    """JSON has one type of number: `1e6` and `3.0` are integers too."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _file_name(name: str) -> str:
    if name != safe_name(name) or not name.strip("."):
        raise ValueError("must be a file name of letters, digits and ._- only")
    return name


FILE_NAME: JsonDict = {"pattern": r"^[A-Za-z0-9._-]*[A-Za-z0-9_-][A-Za-z0-9._-]*$"}
"""For the schema: `_file_name` has a sentence of its own."""


def _time(value: object) -> object:
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError("must be a time such as 2026-01-31T12:00:00Z") from None
    if isinstance(time, datetime) and time.tzinfo and not is_storable_time(time):
        raise ValueError("must be a time in the years 1 to 9999")
    return time


def _lines(value: object) -> object:
    """The lines of one text, but for empty ones, or of all texts of an array."""
    texts = value.splitlines() if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        return value  # which the field's own type refuses
    return [line for text in texts for line in text.splitlines()]


Text = Annotated[str, Field(max_length=TEXT_LIMIT), BeforeValidator(_storable)]
ShortText = Annotated[str, Field(max_length=100), BeforeValidator(_storable)]
Count = Annotated[int, Field(ge=0, le=MAX_INT), BeforeValidator(_integer)]
BigCount = Annotated[int, Field(ge=0, le=MAX_BIGINT), BeforeValidator(_integer)]
Number = Annotated[float, Field(ge=-MAX_BIGINT, le=MAX_BIGINT)]
NonNegative = Annotated[float, Field(ge=0, le=MAX_BIGINT)]
Share = Annotated[float, Field(ge=0, le=1)]
Lines = str | list[str]
MAX_1000 = Field(max_length=1_000, fail_fast=True)  # else a body of 1 MiB makes half a million errors


class _Body(BaseModel):
    """A JSON object. Unknown fields are refused; no type is converted: neither `true` nor `"1"` is a number."""

    model_config = ConfigDict(
        frozen=True, strict=True, allow_inf_nan=False, json_schema_extra={"additionalProperties": False}
    )

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_field(cls, data: object) -> object:
        """One error for the first unknown field; with `extra="forbid"` a body of 1 MiB makes a hundred thousand."""
        fields = list(cls.model_fields)
        for name in data if isinstance(data, dict) else ():
            if name not in fields:
                raise PydanticCustomError(UNKNOWN, "", {"name": shown_name(name), "fields": fields})
        return data


class _Metrics(_Body):
    step: Count
    total_steps: Count | None = None
    epoch: NonNegative | None = None
    train_loss: Number | None = None
    eval_loss: Number | None = None
    perplexity: NonNegative | None = None
    learning_rate: NonNegative | None = None
    token_accuracy: Share | None = None
    reward_margin: Number | None = None
    reward_accuracy: Share | None = None
    tokens_per_second: NonNegative | None = None
    at: Annotated[datetime, BeforeValidator(_time)] | None = None

    def metric(self, now: datetime) -> Metric:
        """Measured `now` where the body has no time; a time without an offset is in the zone of `now`."""
        point = self.model_dump(exclude={"total_steps", "tokens_per_second"})
        at = self.at or now
        point |= {"epoch": self.epoch or 0.0, "at": at if at.tzinfo else at.replace(tzinfo=now.tzinfo)}
        return Metric(TrainingPoint(**point), self.total_steps or 0, self.tokens_per_second)


class _Sample(_Body):
    prompt: Text
    expected: Text | None = None
    base_output: Text | None = None
    tuned_output: Text


class _Artifact(_Body):
    filename: Annotated[str, Field(max_length=255, json_schema_extra=FILE_NAME), AfterValidator(_file_name)]
    kind: Annotated[ArtifactKind, Field(strict=False)]
    sha256: Annotated[str, Field(pattern="^[0-9a-fA-F]{64}$")]


class _Result(_Body):
    model_size_gb: NonNegative | None = None
    model_size_parameter: BigCount | None = None
    model_dtype: ShortText | None = None
    model_quantization: ShortText | None = None
    training_time_seconds: NonNegative | None = None
    inference_samples: Annotated[list[_Sample], MAX_1000] | None = None
    artifacts: Annotated[list[_Artifact], MAX_1000] | None = None

    def reported_result(self) -> ReportedResult:
        return ReportedResult(
            **self.model_dump(exclude={"inference_samples", "artifacts"}),
            samples=tuple(InferenceSample(**sample.model_dump()) for sample in self.inference_samples or ()),
            files=tuple(ReportedArtifact(**artifact.model_dump()) for artifact in self.artifacts or ()),
        )


class _StatusUpdate(_Body):
    status: Literal["RUNNING", "FAILED", "DONE"]
    error: Text | None = None
    progress: Share | None = None
    current_step: Annotated[str, Field(max_length=1_000), BeforeValidator(_storable)] | None = None
    logs: Annotated[list[Text], MAX_1000, BeforeValidator(_lines, json_schema_input_type=Lines)] | None = None
    metrics: _Metrics | None = None
    result: _Result | None = None


STATUS_UPDATE_SCHEMA = model_schema(_StatusUpdate)


def read_status_update(body: Mapping[str, Any], now: datetime) -> StatusUpdate:
    """A status update; raises `Invalid` UNPROCESSABLE where the body breaks a rule."""
    try:
        update = _StatusUpdate.model_validate(body)
    except ValidationError as error:
        raise _refusal(error.errors()[0]) from None
    return StatusUpdate(
        status=RunStatus(update.status),
        error=update.error,
        progress=update.progress,
        current_step=update.current_step,
        logs=tuple(update.logs or ()),
        metric=update.metrics.metric(now) if update.metrics else None,
        result=update.result.reported_result() if update.result else ReportedResult(),
    )


def _refusal(error: ErrorDetails) -> Invalid:
    """One sentence with the path of the field, such as `result.artifacts[0].kind`."""
    path = path_of(error)
    if error["type"] == UNKNOWN:
        return unknown_field_error(f"{path}." if path else "", error["ctx"]["name"], error["ctx"]["fields"])
    return unprocessable_error(f"`{path}` {problem_of(error)}.", path)
