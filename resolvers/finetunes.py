"""Resolvers of fine-tunes."""

from collections.abc import Mapping
from dataclasses import asdict

from domain.finetunes import SAVE_CHECKPOINT, Finetune, NewFinetune
from domain.jobs import Job
from domain.ports.completions import Completion, CompletionRequest
from domain.reading import require
from domain.use_cases import completions, deployments, finetunes, idempotency, job_lifecycle
from resolvers.context import Context


async def create(context: Context, new: NewFinetune, key: str | None) -> tuple[Finetune, Job]:
    """Create a fine-tune of its dataset's current items; returns it with its job."""
    viewer, rejection_reason = context.viewer_id, context.services.trainer.rejection_reason
    async with context.transactions.begin() as store:
        return await idempotency.run_idempotently(
            store,
            "createFinetune",
            key,
            asdict(new),
            create=lambda: finetunes.create(
                store, new, rejection_reason, viewer_id=viewer, now=context.now()
            ),
            replay=lambda id: finetunes.require_with_job(store, id, viewer_id=viewer),
            result_id=lambda created: created[0].id,
            viewer_id=viewer,
        )


async def cancel(context: Context, id: str, *, save_checkpoint: bool) -> Finetune:
    """Cancel a training; its worker saves a checkpoint if `save_checkpoint`."""
    viewer = context.viewer_id
    async with context.transactions.begin() as store:
        _, job = await finetunes.require_with_job(store, id, viewer_id=viewer)
        arguments = {SAVE_CHECKPOINT: save_checkpoint}
        await job_lifecycle.cancel(store, job.id, viewer_id=viewer, arguments=arguments)
        return await require(store.finetunes, id, viewer_id=viewer)


async def delete(context: Context, id: str) -> str:
    """Delete a fine-tune and its files."""
    async with context.transactions.begin() as store:
        return await finetunes.delete(store, id, viewer_id=context.viewer_id)


async def complete(context: Context, id: str, request: CompletionRequest) -> Completion:
    """A completion from a fine-tune, outside of transactions."""
    request = request.validated()
    async with context.transactions.read() as store:
        finetune = await require(store.finetunes, id, viewer_id=context.viewer_id, field="finetuneId")
        await finetunes.require_text_model(store, finetune)
    model, services = deployments.model_file(finetune), context.services
    return await completions.complete(services.runtime, services.completions, model, request)


async def recent_logs(context: Context, ids: list[str], lines: int) -> Mapping[str, list[str]]:
    """The last lines of each fine-tune's newest job."""
    async with context.transactions.read() as store:
        latest = await store.jobs.latest(ids, viewer_id=context.viewer_id)
        logs = await store.job_events.logs([job.id for job in latest.values()], lines)
    return {id: logs.get(job.id, []) for id, job in latest.items()}
