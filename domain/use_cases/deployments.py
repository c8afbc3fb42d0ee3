"""Putting models behind an endpoint, and taking them away."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from domain import ids
from domain.api_keys import new_key
from domain.deployments import MODEL_NAME_LIMIT, OF_JOB, Deployment
from domain.errors import Conflict, Invalid, NotFound
from domain.finetunes import Finetune, require_gguf
from domain.ids import Noun
from domain.jobs import Job, JobType, new_job
from domain.ports.model_runtime import ModelFile
from domain.projects import require_active
from domain.reading import missing, require, require_locked
from domain.rules import named
from domain.store import Store
from domain.use_cases import jobs


@dataclass(frozen=True, slots=True)
class Created:
    """A new deployment, the job that loads it, and the secret of its first key."""

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
) -> Created:
    """Put a model behind the project's endpoint, with a first key."""
    project = await require_locked(store.projects, project_id, viewer_id=viewer_id)
    require_active(project)
    finetune = await _finetune(store, project_id, model_name, finetune_id, viewer_id=viewer_id)
    deployment = Deployment(
        id=ids.new(Noun.DEPLOYMENT),
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
    job = new_job(
        JobType.DEPLOY, project_id=project_id, owner_id=viewer_id, subject_id=deployment.id, now=now
    )
    await store.jobs.add(job)
    await store.jobs.enqueue(job)
    return Created(deployment, job, secret)


async def _finetune(
    store: Store, project_id: str, model_name: str | None, finetune_id: str | None, *, viewer_id: str
) -> Finetune | None:
    """The fine-tune that is meant, by id or by its model name; None when the runtime's own model is."""
    if finetune_id is None and model_name is None:
        raise Invalid("Give `finetuneId` or `modelName`.", reason="REQUIRED", field="finetuneId")
    if finetune_id is None:
        found = await store.finetunes.by_model_name(project_id, model_name or "", viewer_id=viewer_id)
        if found is None:
            _refuse_fine_tunes(model_name or "")
    else:
        found = await require(store.finetunes, finetune_id, viewer_id=viewer_id, field="finetuneId")
        if found.project_id != project_id:
            raise missing(Noun.FINETUNE, finetune_id, field="finetuneId")
    return None if found is None else await _held(store, found)


def _refuse_fine_tunes(model_name: str) -> None:
    """Raise `NotFound` for a name that the runtime may know as somebody's fine-tune: those go by their ids."""
    if ids.noun_of(model_name.strip().lower().partition(":")[0]) is Noun.FINETUNE:
        raise NotFound(
            f"The project has no fine-tune {model_name}.", reason="FINETUNE_NOT_FOUND", field="modelName"
        )


async def _held(store: Store, finetune: Finetune) -> Finetune:
    """A fine-tune that has a model, and that nobody may delete until the transaction ends."""
    held = await require_locked(store.finetunes, finetune.id, viewer_id=finetune.owner_id, field="finetuneId")
    require_gguf(held)
    return held


def model_of(deployment: Deployment, finetune: Finetune | None) -> ModelFile | str:
    """What the model runtime is to load."""
    return deployment.model_name if finetune is None else model_file(finetune)


def model_file(finetune: Finetune) -> ModelFile:
    """A fine-tune's GGUF; raises `Conflict` NOT_READY while there is none."""
    gguf = require_gguf(finetune)
    return ModelFile(
        model_id=finetune.id, s3_key=finetune.gguf_key, size_bytes=gguf.size_bytes, sha256=gguf.sha256
    )


async def apply_job_status(store: Store, job: Job) -> None:
    """A deployment is what its job makes of it."""
    await store.deployments.change(job.subject_id, {"status": OF_JOB[job.status], "error": job.error})


async def delete(store: Store, id: str, *, viewer_id: str) -> str:
    """Delete a deployment with its keys and logs; its model is unloaded when nothing else serves it."""
    deployment = await require(store.deployments, id, viewer_id=viewer_id)
    await _end_job(store, deployment)
    await store.deployments.delete(id)
    if deployment.finetune_id and not await store.deployments.of_finetune(deployment.finetune_id):
        await store.background_tasks.unload([deployment.finetune_id])
    return id


async def _end_job(store: Store, deployment: Deployment) -> None:
    """Nobody is to load a model for a deployment that is gone."""
    latest = await store.jobs.latest([deployment.id], viewer_id=deployment.owner_id)
    job = latest.get(deployment.id)
    if job is not None and not job.is_final:
        with suppress(Conflict):  # it ended meanwhile
            await jobs.cancel(store, job.id, viewer_id=deployment.owner_id)
