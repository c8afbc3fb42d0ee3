"""Base models of an installation's operator: added from a GGUF or a folder, listed, and removed."""

import asyncio
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from domain import ids
from domain.architectures import ARCHITECTURES
from domain.base_model_files import MANIFEST, Manifest, manifest_of
from domain.base_models import TINY, BaseModel, ModelSource, validated_model_id
from domain.errors import Conflict, Invalid, NotFound
from domain.ids import Noun
from domain.ports.model_importer import ImportedModel
from domain.services import Services
from domain.storage_keys import BASE_MODELS_PREFIX, base_model_prefix
from domain.use_cases.base_model_files import files_of, upload

MAX_USERS_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedModel:
    """A base model, the size of its files in bytes, and whether they are on this machine's disk and in the bucket."""

    base: BaseModel
    size_bytes: int | None
    is_on_disk: bool
    is_in_bucket: bool


async def add(
    services: Services, source: Path, name: str | None, announce: Callable[[str], None]
) -> BaseModel:
    """Make a base model of a GGUF or of a folder of safetensors; `announce` is called with what begins.

    Raises `Invalid` for a source that cannot be trained, `Conflict` for a name that is taken. Nothing is kept then.
    """
    model_id = validated_model_id(name if name is not None else _derived_name(source), "--name")
    await discard_abandoned(services)
    await _require_free(services, model_id)
    id, cache = ids.new(Noun.BASE_MODEL), services.base_model_cache
    async with cache.writing(id):
        folder = cache.partial(id)
        try:
            announce(f"Reading {source.name}")
            imported = await services.model_importer.import_model(source, folder)
            manifest = await asyncio.to_thread(manifest_of, folder, None)
            base = _base_model(id, model_id, imported, manifest)
            announce(f"Storing {manifest.size_bytes / 1e9:,.2f} GB")
            await upload(services.storage, id, folder, manifest)
            await _insert(services, base)
        except BaseException:
            await asyncio.shield(_discard(services, id))
            raise
        await asyncio.to_thread(cache.complete, id, manifest)
    return base


async def listed(services: Services) -> list[ListedModel]:
    """All base models, by name."""
    await discard_abandoned(services)
    on_disk = set(await asyncio.to_thread(services.base_model_cache.ids))
    sizes: dict[str, int] = defaultdict(int)
    complete: set[str] = set()
    for stored in await services.storage.keys(BASE_MODELS_PREFIX):
        id, _, file = stored.key.removeprefix(BASE_MODELS_PREFIX).partition("/")
        sizes[id] += stored.size
        if file == MANIFEST:
            complete.add(id)
    async with services.transactions.read() as store:
        models = await store.base_models.all()
    return [
        ListedModel(
            base=base,
            size_bytes=base.size_bytes or sizes.get(base.id),
            is_on_disk=base.id in on_disk or base.id == TINY.id,
            is_in_bucket=base.id in complete,
        )
        for base in models
    ]


async def remove(services: Services, model_id: str) -> BaseModel:
    """Delete a model's files, and its record unless it is the catalog's. Raises `Conflict` while a fine-tune uses it."""
    async with services.transactions.begin() as store:
        base = await store.base_models.by_model_id(model_id)
        if base is None:
            raise NotFound(f"There is no base model '{model_id}'.", reason="UNKNOWN_BASE_MODEL")
        if base.id == TINY.id:
            raise Conflict(f"{TINY.model_id} is a part of Luthier, and is never removed.", reason="BUILT_IN")
        _require_unused(base, await store.base_models.lock_users(base.id))
        if base.source is ModelSource.CATALOG:
            await store.base_models.record_files(base.id, dict.fromkeys(("revision", "sha256", "size_bytes")))
        else:
            await store.base_models.delete([base.id])
    cache = services.base_model_cache
    async with cache.writing(base.id):
        await _discard(services, base.id)
        await asyncio.to_thread(cache.delete, base.id)
    return base


async def discard_abandoned(services: Services) -> None:
    """Delete what an `add` that was killed has left: files without a base model."""
    abandoned = await asyncio.to_thread(services.base_model_cache.abandoned)
    async with services.transactions.read() as store:
        known = {base.id for base in await store.base_models.all()} if abandoned else set()
    for id in abandoned:
        if id not in known:
            await _discard(services, id)


def _derived_name(source: Path) -> str:
    """A name from that of the file or the folder."""
    stem = source.name.removesuffix(".gguf")
    return re.sub(r"[^A-Za-z0-9._]+", "-", stem).strip("-._") or "model"


async def _require_free(services: Services, model_id: str) -> None:
    async with services.transactions.read() as store:
        if await store.base_models.by_model_id(model_id) is not None:
            raise _name_taken(model_id)


async def _insert(services: Services, base: BaseModel) -> None:
    async with services.transactions.begin() as store:
        if not await store.base_models.add(base):
            raise _name_taken(base.model_id)


def _name_taken(model_id: str) -> Conflict:
    return Conflict(
        f"There is a base model '{model_id}' already; choose another name with --name.", reason="NAME_TAKEN"
    )


def _base_model(id: str, model_id: str, imported: ImportedModel, manifest: Manifest) -> BaseModel:
    architecture = ARCHITECTURES.get(imported.architecture or "")
    if architecture is None:
        raise Invalid(
            f"The architecture {imported.architecture} is not one that can be both trained here and exported to GGUF.",
            reason="ARCHITECTURE_UNSUPPORTED",
        )
    return BaseModel(
        id=id,
        model_id=model_id,
        name=model_id.rpartition("/")[2],
        source=ModelSource.LOCAL,
        model_type=architecture.model_type,
        base_architecture=architecture.family,
        architecture=imported.architecture,
        num_parameters=imported.num_parameters,
        vocab_size=imported.vocab_size,
        max_position_embeddings=imported.max_position_embeddings,
        license=imported.license,
        target_modules=architecture.target_modules,
        warnings=imported.warnings,
        **files_of(manifest),
    )


def _require_unused(base: BaseModel, users: list[str]) -> None:
    if not users:
        return
    named = ", ".join(users[:MAX_USERS_NAMED])
    more = f" and {len(users) - MAX_USERS_NAMED} more" if len(users) > MAX_USERS_NAMED else ""
    raise Conflict(
        f"The base model '{base.model_id}' is used by the fine-tunes {named}{more}; delete them first.",
        reason="BASE_MODEL_USED",
    )


async def _discard(services: Services, id: str) -> None:
    await services.storage.delete(base_model_prefix(id))
    await asyncio.to_thread(services.base_model_cache.clear_partial, id)
