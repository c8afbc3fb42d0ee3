"""Use cases of the catalog of base models."""

from domain.base_models import BaseModel, ModelSource
from domain.model_catalog import removed_entry, updated_entry
from domain.store import Store


async def store_catalog(store: Store, entries: tuple[BaseModel, ...]) -> None:
    """Store the entries of the catalog; those that it has no longer are deleted, or cannot be tuned where they are used."""
    stored = {model.model_id: model for model in await store.base_models.lock_catalog()}
    for entry in entries:
        await store.base_models.put(updated_entry(entry, stored.pop(entry.model_id, None)))
    await _remove(store, [model for model in stored.values() if model.source is ModelSource.CATALOG])


async def _remove(store: Store, models: list[BaseModel]) -> None:
    """Delete models that nothing refers to; one with stored weights stays, for whoever deletes them needs its row."""
    used = await store.base_models.used([model.id for model in models])
    kept = [model for model in models if model.id in used or model.sha256 is not None]
    for model in kept:
        await store.base_models.put(removed_entry(model))
    await store.base_models.delete([model.id for model in models if model not in kept])
