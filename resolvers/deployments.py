"""Resolvers of deployments."""

from domain.reading import require
from domain.store import ReadStore
from domain.use_cases import deployments, idempotency
from domain.use_cases.deployments import CreatedDeployment
from resolvers.context import Context


async def create(
    context: Context, project_id: str, model_name: str | None, finetune_id: str | None, key: str | None
) -> CreatedDeployment:
    """Create a deployment; returns it with the job that loads its model and the secret of its first key."""
    viewer = context.viewer_id
    async with context.transactions.begin() as store:
        return await idempotency.run_idempotently(
            store,
            "createDeployment",
            key,
            [project_id, model_name, finetune_id],
            create=lambda: deployments.create(
                store, project_id, model_name, finetune_id, viewer_id=viewer, now=context.now()
            ),
            replay=lambda id: _replay(store, id, viewer),
            result_id=lambda created: created.deployment.id,
            viewer_id=viewer,
        )


async def _replay(store: ReadStore, id: str, viewer_id: str) -> CreatedDeployment:
    """The result of a repeated call, without the secret."""
    deployment = await require(store.deployments, id, viewer_id=viewer_id)
    job = (await store.jobs.latest([id], viewer_id=viewer_id))[id]
    return CreatedDeployment(deployment, job, None)


async def delete(context: Context, id: str) -> str:
    """Delete a deployment with its keys and logs."""
    async with context.transactions.begin() as store:
        return await deployments.delete(store, id, viewer_id=context.viewer_id)
