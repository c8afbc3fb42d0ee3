"""Deployments: a model that answers under a name, the keys that may ask it, and the log of what was asked."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from domain import accounts, finetunes, ids, jobs, projects
from domain.api_keys import ApiKey, new_key
from domain.errors import Conflict, Invalid, NotFound, no_such
from domain.finetunes import Finetune
from domain.jobs import Job, JobStatus, JobType
from domain.pages import Reads
from domain.rules import named
from domain.runtime import ModelFile

if TYPE_CHECKING:
    from domain.store import Store


MODEL_NAME_LIMIT = 400
"""Characters: a fine-tune's model name holds its project's name and its base model's."""


class DeploymentStatus(StrEnum):
    """STARTING until the model runtime has loaded the model."""

    STARTING = "STARTING"
    READY = "READY"
    FAILED = "FAILED"
    STOPPED = "STOPPED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A model that answers in a project under `model_name`; no fine-tune when the runtime has its own model."""

    id: str
    project_id: str
    owner_id: str
    model_name: str
    finetune_id: str | None = None
    status: DeploymentStatus = DeploymentStatus.STARTING
    error: str | None = None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLog:
    """One answered request. Latencies are in milliseconds."""

    id: str
    deployment_id: str
    api_key_id: str | None
    date: datetime
    endpoint: str
    input: str
    messages: Any = None
    output: str | None = None
    status: int
    error: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    latency_ms: float
    time_to_first_token_ms: float | None = None
    streamed: bool = False
    finish: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentFilter:
    """Which deployments a list shows."""

    status: DeploymentStatus | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFilter:
    """Which requests a list shows."""

    since: datetime | None = None
    until: datetime | None = None
    search: str | None = None
    status: int | None = None
    api_key_id: str | None = None


class Deployments(Reads[Deployment], Protocol):
    """The deployments that are kept."""

    async def add(self, deployment: Deployment) -> bool:
        """False when the project has a live deployment of that model name."""
        ...

    async def change(self, id: str, values: Mapping[str, Any]) -> None: ...
    async def delete(self, id: str) -> None: ...
    async def of_finetune(self, finetune_id: str) -> list[str]:
        """The ids of the deployments of a fine-tune."""
        ...


class RequestLogs(Reads[RequestLog], Protocol):
    """The requests that are kept."""

    async def add_many(self, logs: Sequence[RequestLog]) -> None: ...
    def stream(self, deployment_id: str, *, viewer_id: str) -> AsyncGenerator[RequestLog, None]:
        """All of a deployment's requests, oldest first, from a server-side cursor."""
        ...


def missing(id: str, field: str = "id") -> NotFound:
    """What is said of a deployment that is not there, or another's; `field` is where the input names it."""
    return NotFound(no_such("deployment", id), reason="DEPLOYMENT_NOT_FOUND", field=field)


async def require(store: "Store", id: str, *, viewer_id: str, field: str = "id") -> Deployment:
    """The viewer's deployment; raises `NotFound`."""
    deployment = await store.deployments.get(id, viewer_id=viewer_id)
    if deployment is None:
        raise missing(id, field)
    return deployment


@dataclass(frozen=True, slots=True)
class Created:
    """A new deployment, the job that loads it, and the secret of its first key."""

    deployment: Deployment
    job: Job
    secret: str | None


async def create(
    store: "Store",
    project_id: str,
    model_name: str | None,
    finetune_id: str | None,
    *,
    viewer_id: str,
    now: datetime,
) -> Created:
    """Put a model behind the project's endpoint, with a first key."""
    project = await projects.require_locked(store, project_id, viewer_id=viewer_id)
    projects.require_active(project)
    finetune = await _finetune(store, project_id, model_name, finetune_id, viewer_id=viewer_id)
    deployment = Deployment(
        id=ids.new("Deployment"),
        project_id=project_id,
        owner_id=viewer_id,
        model_name=named(
            model_name or (finetune.model_name if finetune else ""), "modelName", limit=MODEL_NAME_LIMIT
        ),
        finetune_id=finetune.id if finetune else None,
        created_at=now,
    )
    if not await store.deployments.add(deployment):
        raise Conflict(
            f"The project already has a deployment of '{deployment.model_name}'; delete it first, even if it FAILED.",
            reason="MODEL_NAME_TAKEN",
            field="modelName",
        )
    key, secret = new_key(viewer_id, "first key", deployment_id=deployment.id, now=now)
    await store.api_keys.add(key)
    job = jobs.new(
        JobType.DEPLOY, project_id=project_id, owner_id=viewer_id, subject_id=deployment.id, now=now
    )
    await store.jobs.add(job)
    await store.jobs.enqueue(job)
    return Created(deployment, job, secret)


async def _finetune(
    store: "Store", project_id: str, model_name: str | None, finetune_id: str | None, *, viewer_id: str
) -> Finetune | None:
    """The fine-tune that is meant, by id or by its model name; None when the runtime's own model is."""
    if finetune_id is None and model_name is None:
        raise Invalid("Give `finetuneId` or `modelName`.", reason="REQUIRED", field="finetuneId")
    if finetune_id is None:
        found = await store.finetunes.by_model_name(project_id, model_name or "", viewer_id=viewer_id)
        if found is None:
            _refuse_fine_tunes(model_name or "")
    else:
        found = await finetunes.require(store, finetune_id, viewer_id=viewer_id, field="finetuneId")
        if found.project_id != project_id:
            raise finetunes.missing(finetune_id, "finetuneId")
    return None if found is None else await _held(store, found)


def _refuse_fine_tunes(model_name: str) -> None:
    """Raise `NotFound` for a name that the runtime may know as somebody's fine-tune: those go by their ids."""
    if ids.noun_of(model_name.strip().lower().partition(":")[0]) == "Finetune":
        raise NotFound(
            f"The project has no fine-tune {model_name}.", reason="FINETUNE_NOT_FOUND", field="modelName"
        )


async def _held(store: "Store", finetune: Finetune) -> Finetune:
    """A fine-tune that has a model, and that nobody may delete until the transaction ends."""
    held = await store.finetunes.lock(finetune.id, viewer_id=finetune.owner_id)
    if held is None:
        raise finetunes.missing(finetune.id, "finetuneId")
    finetunes.require_gguf(held)
    return held


def model_of(deployment: Deployment, finetune: Finetune | None) -> ModelFile | str:
    """What the model runtime is to load."""
    return deployment.model_name if finetune is None else model_file(finetune)


def model_file(finetune: Finetune) -> ModelFile:
    """A fine-tune's GGUF; raises `Conflict` NOT_READY while there is none."""
    gguf = finetunes.require_gguf(finetune)
    return ModelFile(
        model_id=finetune.id, s3_key=finetune.gguf_key, size_bytes=gguf.size_bytes, sha256=gguf.sha256
    )


OF_JOB = {
    JobStatus.QUEUED: DeploymentStatus.STARTING,
    JobStatus.RUNNING: DeploymentStatus.STARTING,
    JobStatus.SUCCESS: DeploymentStatus.READY,
    JobStatus.FAILED: DeploymentStatus.FAILED,
    JobStatus.CANCELLED: DeploymentStatus.STOPPED,
}


async def follow(store: "Store", job: Job) -> None:
    """A deployment is what its job makes of it."""
    await store.deployments.change(job.subject_id, {"status": OF_JOB[job.status], "error": job.error})


async def delete(store: "Store", id: str, *, viewer_id: str) -> str:
    """Delete a deployment with its keys and logs; its model is unloaded when nothing else serves it."""
    deployment = await require(store, id, viewer_id=viewer_id)
    await _end_job(store, deployment)
    await store.deployments.delete(id)
    if deployment.finetune_id and not await store.deployments.of_finetune(deployment.finetune_id):
        await store.chores.unload([deployment.finetune_id])
    return id


async def _end_job(store: "Store", deployment: Deployment) -> None:
    """Nobody is to load a model for a deployment that is gone."""
    latest = await store.jobs.latest([deployment.id], viewer_id=deployment.owner_id)
    job = latest.get(deployment.id)
    if job is not None and not job.is_final:
        with suppress(Conflict):  # it ended meanwhile
            await jobs.cancel(store, job.id, viewer_id=deployment.owner_id)


async def add_key(
    store: "Store",
    deployment_id: str | None,
    name: str,
    expires_at: datetime | None,
    *,
    viewer_id: str,
    now: datetime,
) -> tuple[ApiKey, str]:
    """A further key of a deployment, or one of the account's own."""
    await accounts.require(store, viewer_id)
    if deployment_id is not None:
        await require(store, deployment_id, viewer_id=viewer_id, field="deploymentId")
    key, secret = new_key(viewer_id, name, deployment_id=deployment_id, expires_at=expires_at, now=now)
    await store.api_keys.add(key)
    return key, secret
