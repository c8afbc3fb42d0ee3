"""Deploying: the model runtime loads the model, which then proves that it answers."""

from typing import Any

from domain.job_events import Progress
from domain.jobs import Job
from domain.ports.completions import Question
from domain.ports.model_runtime import ModelFile
from domain.reading import require
from domain.services import Services
from domain.use_cases import completions, deployments
from workers.base import report

PROOF = Question("Hello", max_tokens=1, temperature=0.0)


async def handle(services: Services, job: Job) -> dict[str, Any]:
    """Load the job's model and ask it for one word; a refusal is the deployment's error."""
    name, model = await _model(services, job)
    await report(services, job, [Progress(0.1, f"Loading {name}")])
    answer = await completions.ask(services.runtime, services.completions, model, PROOF)
    return {"model_name": name, "prompt_tokens": answer.prompt_tokens}


async def _model(services: Services, job: Job) -> tuple[str, ModelFile | str]:
    """The name that the deployment answers under, and what the runtime is to load."""
    async with services.transactions.begin() as store:
        deployment = await require(store.deployments, job.subject_id, viewer_id=job.owner_id)
        finetune = None
        if deployment.finetune_id is not None:
            finetune = await require(store.finetunes, deployment.finetune_id, viewer_id=job.owner_id)
    return deployment.model_name, deployments.model_of(deployment, finetune)
