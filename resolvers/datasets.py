"""Resolvers of datasets."""

from collections.abc import Mapping
from typing import Any

from domain.datasets import Dataset, PromptRevision
from domain.imports import ImportOptions
from domain.jobs import Job
from domain.reading import require
from domain.use_cases import datasets, idempotency, imports
from resolvers.context import Context


async def create(context: Context, project_id: str, values: Mapping[str, Any], key: str | None) -> Dataset:
    """Create the next version of a project's dataset."""
    viewer = context.viewer_id
    async with context.transactions.begin() as store:
        return await idempotency.run_idempotently(
            store,
            "createDataset",
            key,
            {"project_id": project_id, **values},
            create=lambda: datasets.create(store, project_id, values, viewer_id=viewer, now=context.now()),
            replay=lambda id: require(store.datasets, id, viewer_id=viewer),
            result_id=lambda dataset: dataset.id,
            viewer_id=viewer,
        )


async def update(context: Context, id: str, patch: Mapping[str, Any]) -> Dataset:
    """Change the fields in `patch`."""
    async with context.transactions.begin() as store:
        return await datasets.update(store, id, patch, viewer_id=context.viewer_id, now=context.now())


async def import_document(
    context: Context, dataset_id: str, document_id: str, options: ImportOptions, key: str | None
) -> tuple[Dataset, Job]:
    """Start the job that imports a document's rows as items."""
    viewer = context.viewer_id
    async with context.transactions.begin() as store:
        return await idempotency.run_idempotently(
            store,
            "importDataset",
            key,
            [dataset_id, document_id, options.as_arguments()],
            create=lambda: imports.create(
                store, dataset_id, document_id, options, viewer_id=viewer, now=context.now()
            ),
            replay=lambda job_id: imports.replay(store, job_id, viewer_id=viewer),
            result_id=lambda started: started[1].id,
            viewer_id=viewer,
        )


async def delete(context: Context, id: str) -> str:
    """Delete a dataset; fine-tunes keep their trained items."""
    async with context.transactions.begin() as store:
        return await datasets.delete(store, id, viewer_id=context.viewer_id)


async def including_deleted(context: Context, ids: list[str]) -> Mapping[str, Dataset]:
    """Datasets by id, deleted ones included."""
    async with context.transactions.read() as store:
        return await store.datasets.including_deleted(ids, viewer_id=context.viewer_id)


async def revisions(context: Context, ids: list[str], first: int) -> Mapping[str, list[PromptRevision]]:
    """The earlier prompts of datasets, newest first. The caller has checked that the viewer may see the datasets."""
    async with context.transactions.read() as store:
        return await store.datasets.revisions(ids, first)
