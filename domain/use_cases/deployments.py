"""Use cases of deployments."""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from domain import ids
from domain.api_keys import new_key
from domain.deployments import DEPLOYMENT_STATUS_OF_JOB, MODEL_NAME_LIMIT, Deployment, ModelCapability
from domain.errors import Conflict, Invalid, NotFound
from domain.finetunes import Finetune, require_gguf
from domain.ids import Noun
from domain.job_events import LogLine
from domain.jobs import Job, JobType, new_job
from domain.ports.model_runtime import ModelFile
from domain.projects import require_active
from domain.reading import require, require_in_project, require_locked
from domain.rules import validated_name
from domain.store import Store
from domain.use_cases import finetunes, jobs


@dataclass(frozen=True, slots=True)
class CreatedDeployment:
    """A new deployment, the job that loads its model, and the secret of its first key; None in a replay."""

    deployment: Deployment
    job: Job
    secret: str | None


async def create(
    store: Store,
    project_id: str,
    model_name: str | None,
    finetune_id: str | None,
    *,
    viewer_id: str,
    now: datetime,
) -> CreatedDeployment:
    """Deploy a fine-tune or a model of the runtime's own, with a first API key."""
    project = await require_locked(store.projects, project_id, viewer_id=viewer_id)
    require_active(project)
    finetune = await _lock_finetune(store, project_id, model_name, finetune_id, viewer_id=viewer_id)
    deployment = Deployment(
        id=ids.new(Noun.DEPLOYMENT),
        project_id=project_id,
        owner_id=viewer_id,
        model_name=validated_name(
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
    job = new_job(
        JobType.DEPLOY, project_id=project_id, owner_id=viewer_id, subject_id=deployment.id, now=now
    )
    await store.jobs.add(job)
    await store.jobs.enqueue(job)
    return CreatedDeployment(deployment, job, secret)


async def _lock_finetune(
    store: Store, project_id: str, model_name: str | None, finetune_id: str | None, *, viewer_id: str
) -> Finetune | None:
    """The fine-tune with this id or model name, locked; None when the name is not that of a fine-tune."""
    if finetune_id is None and model_name is None:
        raise Invalid("Give `finetuneId` or `modelName`.", reason="REQUIRED", field="finetuneId")
    if finetune_id is None:
        found = await store.finetunes.by_model_name(project_id, model_name or "", viewer_id=viewer_id)
        if found is None:
            _refuse_finetune_id(model_name or "")
    else:
        found = await require_in_project(
            store.finetunes, finetune_id, project_id, viewer_id=viewer_id, field="finetuneId"
        )
    return None if found is None else await _lock_trained(store, found)


def _refuse_finetune_id(model_name: str) -> None:
    """Raise `NotFound` for a model name that is the id of a fine-tune, whoever owns it."""
    if ids.noun_of(model_name.strip().lower().partition(":")[0]) is Noun.FINETUNE:
        raise NotFound(
            f"The project has no fine-tune {model_name}.", reason="FINETUNE_NOT_FOUND", field="modelName"
        )


async def _lock_trained(store: Store, finetune: Finetune) -> Finetune:
    """The fine-tune, locked until the transaction ends; raises `Conflict` when it has no model, `Invalid` for video."""
    locked = await require_locked(
        store.finetunes, finetune.id, viewer_id=finetune.owner_id, field="finetuneId"
    )
    await finetunes.require_text_model(store, locked)
    require_gguf(locked)
    return locked


def model_of(deployment: Deployment, finetune: Finetune | None) -> ModelFile | str:
    """The model for the runtime to load: a file, or the name of a model of the runtime's own."""
    return deployment.model_name if finetune is None else model_file(finetune)


def model_file(finetune: Finetune) -> ModelFile:
    """The GGUF file of a fine-tune; raises `Conflict` NOT_READY while there is none."""
    gguf = require_gguf(finetune)
    return ModelFile(
        model_id=finetune.id, s3_key=finetune.key_of(gguf), size_bytes=gguf.size_bytes, sha256=gguf.sha256
    )


async def apply_job_status(store: Store, job: Job) -> None:
    """Set a deployment's status from its job's."""
    await store.deployments.change(
        job.subject_id, {"status": DEPLOYMENT_STATUS_OF_JOB[job.status], "error": job.error}
    )


async def record_capabilities(
    store: Store, job: Job, capabilities: Collection[ModelCapability] | None
) -> None:
    """Record what the model can do that a DEPLOY job has loaded; None when its server does not say.

    Raises `Superseded` when the job is no longer this worker's.
    """
    found = None if capabilities is None else tuple(name for name in ModelCapability if name in capabilities)
    await store.job_events.append(job, [LogLine(_capabilities_line(found))])
    await store.deployments.change(job.subject_id, {"capabilities": found})


def _capabilities_line(capabilities: tuple[ModelCapability, ...] | None) -> str:
    if capabilities is None:
        return "The model server does not say what the model can do."
    return f"Capabilities of the model: {', '.join(capabilities) or 'none'}."


async def delete(store: Store, id: str, *, viewer_id: str) -> str:
    """Delete a deployment with its keys and logs; unload its model when no other deployment has it."""
    deployment = await require(store.deployments, id, viewer_id=viewer_id)
    await _cancel_job(store, deployment)
    await store.deployments.delete(id)
    if deployment.finetune_id and not await store.deployments.of_finetune(deployment.finetune_id):
        await store.background_tasks.unload([deployment.finetune_id])
    return id


async def _cancel_job(store: Store, deployment: Deployment) -> None:
    latest = await store.jobs.latest([deployment.id], viewer_id=deployment.owner_id)
    job = latest.get(deployment.id)
    if job is not None and not job.is_final:
        with suppress(Conflict):  # it ended meanwhile
            await jobs.cancel(store, job.id, viewer_id=deployment.owner_id)
