"""How every noun is read for many parents at once: what loaders call, one statement a call."""

from collections.abc import Mapping
from typing import Any

from domain.errors import NotFound
from domain.ids import noun_of
from domain.pages import Page, Reads, Slice
from domain.store import Store
from resolvers.context import Context


def reads(store: Store, noun: str) -> Reads[Any]:
    """The store of a noun."""
    return {  # type: ignore[return-value]  # accounts have no pages
        "ApiKey": store.api_keys,
        "BaseModel": store.base_models,
        "Dataset": store.datasets,
        "DatasetItem": store.items,
        "Deployment": store.deployments,
        "Document": store.documents,
        "Finetune": store.finetunes,
        "Job": store.jobs,
        "Project": store.projects,
        "RequestLog": store.request_logs,
        "User": store.accounts,
    }[noun]


async def many(context: Context, ids: list[str], noun: str) -> Mapping[str, Any]:
    """Objects by id; what is missing or another's is absent."""
    async with context.transactions.read() as store:
        return await reads(store, noun).many(ids, viewer_id=context.viewer_id)


async def pages(
    context: Context,
    parents: list[str],
    noun: str,
    by: str | None,
    where: Any,
    page: Page,
    only: frozenset[str] | None,
) -> Mapping[str, Slice[Any]]:
    """The same page of each parent's list; of `only` these attributes, where they can be read alone."""
    async with context.transactions.read() as store:
        return await reads(store, noun).pages(
            parents, page, by=by, where=where, only=only, viewer_id=context.viewer_id
        )


async def totals(
    context: Context, parents: list[str], noun: str, by: str | None, where: Any
) -> Mapping[str, int]:
    """The length of each parent's list."""
    async with context.transactions.read() as store:
        return await reads(store, noun).totals(parents, by=by, where=where, viewer_id=context.viewer_id)


async def by_id(context: Context, ids: list[str]) -> Mapping[str, Any]:
    """Objects of any noun by id, one statement a noun."""
    nouns: dict[str, list[str]] = {}
    for id in ids:
        if (noun := noun_of(id)) is not None:
            nouns.setdefault(noun, []).append(id)
    found: dict[str, Any] = {}
    for noun, of_noun in nouns.items():
        found |= await many(context, of_noun, noun)
    return found


async def require(context: Context, id: str, noun: str) -> Any:
    """One object; raises `NotFound`."""
    it = (await many(context, [id], noun)).get(id)
    if it is None:
        raise NotFound(f"There is no {noun} {id}.")
    return it
