"""How every noun is read for many parents at once: what loaders call, one statement a call."""

from collections.abc import Mapping
from typing import Any

from domain.ids import Noun, noun_of
from domain.pages import Page, PageSlice
from domain.reading import ById, Collection, Pages, Parent
from domain.store import ReadStore
from resolvers.context import Context


def collection_of(store: ReadStore, collection: Collection) -> Pages:
    """What reads a collection."""
    readers: Mapping[Collection, Pages] = {
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
    return readers[collection]


async def many(context: Context, ids: list[str], noun: Noun) -> Mapping[str, Any]:
    """Objects by id; what is missing or another's is absent."""
    async with context.transactions.read() as store:
        readers: Mapping[Noun, ById] = {
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
        return await readers[noun].many(ids, viewer_id=context.viewer_id)


async def pages(
    context: Context,
    parents: list[str],
    collection: Collection,
    by: Parent | None,
    where: Any,
    page: Page,
    only: frozenset[str] | None,
) -> Mapping[str, PageSlice[Any]]:
    """The same page of each parent's list; of `only` these attributes, where they can be read alone."""
    async with context.transactions.read() as store:
        return await collection_of(store, collection).pages(
            parents, page, parent_kind=by, where=where, projection=only, viewer_id=context.viewer_id
        )


async def totals(
    context: Context, parents: list[str], collection: Collection, by: Parent | None, where: Any
) -> Mapping[str, int]:
    """The length of each parent's list."""
    async with context.transactions.read() as store:
        return await collection_of(store, collection).totals(
            parents, parent_kind=by, where=where, viewer_id=context.viewer_id
        )


async def by_id(context: Context, ids: list[str]) -> Mapping[str, Any]:
    """Objects of any noun by id, one statement a noun."""
    nouns: dict[Noun, list[str]] = {}
    for id in ids:
        if (noun := noun_of(id)) is not None:
            nouns.setdefault(noun, []).append(id)
    found: dict[str, Any] = {}
    for noun, of_noun in nouns.items():
        found |= await many(context, of_noun, noun)
    return found
