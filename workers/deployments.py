"""Deploys models: the model runtime loads the model, a test prompt shows that it answers, and what it can do is recorded."""

from typing import Any

from domain.job_events import Progress
from domain.jobs import Job
from domain.ports.completions import CompletionRequest
from domain.ports.model_runtime import ModelFile
from domain.reading import require
from domain.services import Services
from domain.use_cases import completions, deployments
from workers.dispatcher import record_events

TEST_PROMPT = CompletionRequest("Hello", max_tokens=1, temperature=0.0)


async def handle(services: Services, job: Job) -> dict[str, Any]:
    """Load the job's model, generate one token and record its capabilities; an error is the deployment's error."""
    name, model = await _model(services, job)
    await record_events(services, job, [Progress(0.1, f"Loading {name}")])
    answer = await completions.complete(services.runtime, services.completions, model, TEST_PROMPT)
    upstream = await services.runtime.upstream(model)
    async with services.transactions.begin() as store:
        await deployments.record_capabilities(store, job, upstream.capabilities)
    return {"model_name": name, "prompt_tokens": answer.prompt_tokens}


async def _model(services: Services, job: Job) -> tuple[str, ModelFile | str]:
    """The deployment's model name, and the model that the runtime is to load."""
    async with services.transactions.read() as store:
        deployment = await require(store.deployments, job.subject_id, viewer_id=job.owner_id)
        finetune = None
        if deployment.finetune_id is not None:
            finetune = await require(store.finetunes, deployment.finetune_id, viewer_id=job.owner_id)
    return deployment.model_name, deployments.model_of(deployment, finetune)
