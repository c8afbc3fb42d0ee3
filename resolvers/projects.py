"""Resolvers of projects."""

from collections.abc import Mapping
from typing import Any

from domain.projects import Project, ProjectStage, ProjectStats
from domain.reading import require
from domain.use_cases import idempotency, projects
from resolvers.context import Context


async def create(context: Context, values: Mapping[str, Any], key: str | None) -> Project:
    """Create a project of the viewer."""
    viewer = context.viewer_id
    async with context.transactions.begin() as store:
        return await idempotency.run_idempotently(
            store,
            "createProject",
            key,
            values,
            create=lambda: projects.create(store, values, viewer_id=viewer, now=context.now()),
            replay=lambda id: require(store.projects, id, viewer_id=viewer),
            result_id=lambda project: project.id,
            viewer_id=viewer,
        )


async def update(context: Context, id: str, patch: Mapping[str, Any]) -> Project:
    """Change the fields in `patch`."""
    async with context.transactions.begin() as store:
        return await projects.update(store, id, patch, viewer_id=context.viewer_id, now=context.now())


async def delete(context: Context, id: str) -> str:
    """Delete a project with all its contents."""
    async with context.transactions.begin() as store:
        return await projects.delete(store, id, viewer_id=context.viewer_id)


async def stats(context: Context, ids: list[str]) -> Mapping[str, ProjectStats]:
    """The counts of each project."""
    async with context.transactions.read() as store:
        return await store.projects.stats(ids, viewer_id=context.viewer_id)


async def stages(context: Context, ids: list[str]) -> Mapping[str, ProjectStage]:
    """The stage of each project."""
    async with context.transactions.read() as store:
        return await store.projects.stages(ids, viewer_id=context.viewer_id)
