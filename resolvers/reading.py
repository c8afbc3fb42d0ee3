"""Reads of every noun for many parents at once: one statement a call, for DataLoaders."""

from collections.abc import Mapping
from typing import Any

from domain.ids import Noun, noun_of
from domain.pages import PageRequest, PageResult
from domain.reading import Collection, KeyedReads, PagedReads, Parent
from domain.store import ReadStore
from resolvers.context import Context


def collection_of(store: ReadStore, collection: Collection) -> PagedReads:
    """The reads of a collection."""
    reads: Mapping[Collection, PagedReads] = {
        Collection.API_KEYS: store.api_keys,
        Collection.BASE_MODELS: store.base_models,
        Collection.DATASETS: store.datasets,
        Collection.DEPLOYMENTS: store.deployments,
        Collection.DOCUMENTS: store.documents,
        Collection.FINETUNES: store.finetunes,
        Collection.FROZEN_ITEMS: store.frozen_items,
        Collection.IMPORTED_DOCUMENTS: store.imported_documents,
        Collection.ITEMS: store.items,
        Collection.JOB_EVENTS: store.job_events,
        Collection.JOBS: store.jobs,
        Collection.PROJECTS: store.projects,
        Collection.REQUEST_LOGS: store.request_logs,
        Collection.TRAINING_POINTS: store.training_points,
    }
    return reads[collection]


async def many(context: Context, ids: list[str], noun: Noun) -> Mapping[str, Any]:
    """Objects by id, without those that are missing or that the viewer may not see."""
    async with context.transactions.read() as store:
        reads: Mapping[Noun, KeyedReads] = {
            Noun.API_KEY: store.api_keys,
            Noun.BASE_MODEL: store.base_models,
            Noun.DATASET: store.datasets,
            Noun.DEPLOYMENT: store.deployments,
            Noun.DOCUMENT: store.documents,
            Noun.FINETUNE: store.finetunes,
            Noun.ITEM: store.items,
            Noun.JOB: store.jobs,
            Noun.PROJECT: store.projects,
            Noun.REQUEST_LOG: store.request_logs,
            Noun.USER: store.accounts,
        }
        return await reads[noun].many(ids, viewer_id=context.viewer_id)


async def pages(
    context: Context,
    parents: list[str],
    collection: Collection,
    parent_kind: Parent | None,
    where: Any,
    page: PageRequest,
    projection: frozenset[str] | None,
) -> Mapping[str, PageResult[Any]]:
    """A page of each parent's list; with a projection, a result may have `partial_rows` with these attributes alone."""
    async with context.transactions.read() as store:
        return await collection_of(store, collection).pages(
            parents,
            page,
            parent_kind=parent_kind,
            where=where,
            projection=projection,
            viewer_id=context.viewer_id,
        )


async def totals(
    context: Context, parents: list[str], collection: Collection, parent_kind: Parent | None, where: Any
) -> Mapping[str, int]:
    """The number of rows of each parent's list, at most `COUNT_CEILING`."""
    async with context.transactions.read() as store:
        return await collection_of(store, collection).totals(
            parents, parent_kind=parent_kind, where=where, viewer_id=context.viewer_id
        )


async def by_id(context: Context, ids: list[str]) -> Mapping[str, Any]:
    """Objects of any noun by id, in one statement for each noun."""
    ids_by_noun: dict[Noun, list[str]] = {}
    for id in ids:
        if (noun := noun_of(id)) is not None:
            ids_by_noun.setdefault(noun, []).append(id)
    found: dict[str, Any] = {}
    for noun, ids_of_noun in ids_by_noun.items():
        found |= await many(context, ids_of_noun, noun)
    return found
