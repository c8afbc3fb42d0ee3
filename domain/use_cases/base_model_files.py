"""Where the weights of base models lie: on the disk of a worker, in the bucket, at their source."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from domain.base_model_files import (
    MANIFEST,
    NAMES_CODE,
    Manifest,
    ModelFile,
    has_code,
    manifest_of,
    require_pinned,
    require_weights,
)
from domain.base_models import BaseModel, ModelSource
from domain.errors import Invalid, LimitExceeded, NotFound
from domain.hashes import sha256_of_file
from domain.ports.model_importer import PackagedModel
from domain.ports.storage import Storage
from domain.services import Services
from domain.storage_keys import base_model_key, base_model_prefix

BINARY, JSON = "application/octet-stream", "application/json"
SPARE_BYTES = 500_000_000
"""What a fetch leaves free on the disk."""
GIGABYTE = 1e9
COMMIT_LENGTH = 40

Report = Callable[[str, int, int], Awaitable[None]]
"""Called with what is done now, and how many bytes of how many are there."""


@dataclass(frozen=True, slots=True)
class Pin:
    """The weights that a fine-tune began with: their digest, and the revision of the files; None before it began."""

    sha256: str | None = None
    revision: str | None = None


@asynccontextmanager
async def on_disk(services: Services, base: BaseModel, pin: Pin, report: Report) -> AsyncIterator[Manifest]:
    """Have the model's files on the disk while the block runs: from the disk, else the bucket, else their source.

    Raises `Invalid` BASE_MODEL_CHANGED where only other weights than the pinned ones are to be had, `Unavailable` where
    the source does not answer.
    """
    cache = services.base_model_cache
    packaged = services.model_importer.packaged(base.model_id)
    revision = pin.revision or (packaged.revision if packaged else base.revision)
    wanted = Pin(pin.sha256 or base.sha256, revision)
    while True:
        async with cache.reading(base.id):
            manifest = await asyncio.to_thread(cache.find, base.id)
            if manifest is not None and _is_wanted(manifest, wanted):
                await publish(services, base, manifest)
                yield manifest
                return
        async with cache.writing(base.id):
            manifest = await _fetch(services, base, wanted, report)
        require_pinned(base.model_id, pin.sha256, manifest.sha256)
        wanted = Pin(manifest.sha256, manifest.revision)


async def stored_manifest(storage: Storage, base_model_id: str) -> Manifest | None:
    """The manifest of the model in the bucket; None where the bucket does not have all of its files."""
    try:
        chunks = [chunk async for chunk in storage.read(base_model_key(base_model_id, MANIFEST))]
        return Manifest.from_json(b"".join(chunks))
    except (NotFound, ValueError):
        return None


async def publish(services: Services, base: BaseModel, manifest: Manifest) -> None:
    """Have the model in the bucket, for other workers, and record its files; does nothing where it is there already."""
    if await stored_manifest(services.storage, base.id) != manifest:
        await upload(services.storage, base.id, services.base_model_cache.folder(base.id), manifest)
    if (base.sha256, base.size_bytes) != (manifest.sha256, manifest.size_bytes):
        async with services.transactions.begin() as store:
            await store.base_models.record_files(base.id, files_of(manifest))
    await _evict_from_bucket(services, keep=base.id)


def files_of(manifest: Manifest) -> dict[str, Any]:
    """What a base model's record says of its files."""
    return {
        "revision": manifest.revision,
        "sha256": manifest.sha256,
        "size_bytes": manifest.size_bytes,
    }


async def upload(storage: Storage, base_model_id: str, folder: Path, manifest: Manifest) -> None:
    """Put all files of a folder, and the manifest last: a reader never sees half a model."""
    await storage.delete(base_model_key(base_model_id, MANIFEST))
    for file in manifest.files:
        await storage.upload(base_model_key(base_model_id, file.name), folder / file.name, BINARY)
    await storage.write(base_model_key(base_model_id, MANIFEST), _chunk(manifest.to_json()), JSON)


async def _chunk(text: str) -> AsyncIterator[bytes]:
    yield text.encode()


async def _evict_from_bucket(services: Services, *, keep: str) -> None:
    """Delete fetched models, least recently used first, while they have more than the limit; added ones stay.

    Whoever downloads one meanwhile misses a file, and turns to the source.
    """
    async with services.transactions.begin() as store:
        stored = [
            model for model in await store.base_models.stored() if model.source is not ModelSource.LOCAL
        ]
        evicted = []
        for model in stored:
            if (
                sum(other.size_bytes or 0 for other in stored if other not in evicted)
                <= services.hub_limits.max_bytes
            ):
                break
            if model.id != keep and not await store.base_models.in_training(model.id):
                await store.base_models.record_files(model.id, {"size_bytes": None})
                evicted.append(model)
    for model in evicted:
        await services.storage.delete(base_model_key(model.id, MANIFEST))
        await services.storage.delete(base_model_prefix(model.id))


def _is_wanted(manifest: Manifest, wanted: Pin) -> bool:
    if wanted.sha256 is not None:
        return manifest.sha256 == wanted.sha256
    return wanted.revision in {None, manifest.revision}


async def _fetch(services: Services, base: BaseModel, wanted: Pin, report: Report) -> Manifest:
    """Put the model together on the disk, with the lock of `writing`; what is there already is used."""
    cache = services.base_model_cache
    manifest = await _from_bucket(services, base, wanted, report) or await _from_source(
        services, base, wanted, report
    )
    await asyncio.to_thread(cache.complete, base.id, manifest)
    await asyncio.to_thread(cache.evict, services.hub_limits.max_bytes, keep=base.id)
    return manifest


async def _from_bucket(services: Services, base: BaseModel, wanted: Pin, report: Report) -> Manifest | None:
    """The manifest of the bucket's model, which is then in the partial folder; None where the bucket lacks a file of it.

    Raises `Invalid` for an added model that is damaged there: it has no other source.
    """
    manifest = await stored_manifest(services.storage, base.id)
    if manifest is None or not _is_wanted(manifest, wanted):
        return None
    await make_room(services, base, manifest.size_bytes)
    folder, present = services.base_model_cache.partial(base.id), 0
    for file in manifest.files:
        await report(f"Fetching {base.model_id} from the bucket", present, manifest.size_bytes)
        if not await _download(services.storage, base, file, folder / file.name):
            return None
        present += file.size_bytes
    return manifest


async def _download(storage: Storage, base: BaseModel, file: ModelFile, path: Path) -> bool:
    """Whether the bucket has the file as the manifest says; one that is there from an earlier attempt is not read again."""
    if await asyncio.to_thread(_is_intact, file, path):
        return True
    try:
        await storage.download(base_model_key(base.id, file.name), path)
    except NotFound:
        return False
    return await asyncio.to_thread(_is_intact, file, path)


def _is_intact(file: ModelFile, path: Path) -> bool:
    return path.is_file() and path.stat().st_size == file.size_bytes and sha256_of_file(path) == file.sha256


async def make_room(services: Services, base: BaseModel, size: int) -> None:
    """Evict models that nobody reads so that one of this size fits below the limit; raises where it does not."""
    limit = services.hub_limits.max_bytes
    if base.source is not ModelSource.LOCAL and size > limit:
        raise LimitExceeded(
            f"The base model {base.model_id} has {size / GIGABYTE:,.3g} GB; at most {limit / GIGABYTE:g} GB are fetched "
            "here (MAX_MODEL_GB).",
            reason="MODEL_TOO_LARGE",
        )
    cache = services.base_model_cache
    await asyncio.to_thread(cache.evict, max(limit - size, 0), keep=base.id)
    if size + SPARE_BYTES > (free := await asyncio.to_thread(cache.free_bytes)):
        raise Invalid(
            f"The base model {base.model_id} needs {size / GIGABYTE:,.1f} GB on the worker's disk, which has "
            f"{free / GIGABYTE:,.1f} GB free.",
            reason="DISK_FULL",
        )


async def _from_source(services: Services, base: BaseModel, wanted: Pin, report: Report) -> Manifest:
    if base.source is ModelSource.LOCAL:
        raise Invalid(
            f"The files of the base model {base.model_id} are not in the bucket, or are damaged there; add it again with "
            "`luthier models add`.",
            reason="BASE_MODEL_MISSING",
        )
    if (packaged := services.model_importer.packaged(base.model_id)) is not None:
        return await _from_package(services, base, packaged, report)
    return await _from_hub(services, base, wanted.revision, report)


async def _from_package(
    services: Services, base: BaseModel, packaged: PackagedModel, report: Report
) -> Manifest:
    """Import the GGUF of an installed package; the base model's warnings say what it is."""
    cache = services.base_model_cache
    cache.clear_partial(base.id)
    folder = cache.partial(base.id)
    await report(f"Importing {base.model_id} from {packaged.revision}", 0, 0)
    imported = await services.model_importer.import_model(packaged.path, folder)
    async with services.transactions.begin() as store:
        await store.base_models.add_warnings(base.id, imported.warnings)
    return await asyncio.to_thread(manifest_of, folder, packaged.revision)


async def _from_hub(services: Services, base: BaseModel, revision: str | None, report: Report) -> Manifest:
    if base.source is ModelSource.HUGGING_FACE and not services.hub_limits.enabled:
        raise Invalid(
            f"The base model {base.model_id} is not on this machine, and models of the hub are not fetched here "
            "(HUB_MODELS=off).",
            reason="HUB_MODELS_OFF",
        )
    if revision is None or len(revision) != COMMIT_LENGTH:
        revision = (await services.hub.describe(base.model_id)).revision
    folder = services.base_model_cache.partial(base.id)

    async def progress(present: int, size: int) -> None:
        await report(f"Fetching {base.model_id}", present, size)

    await services.hub.fetch(
        base.model_id, revision, folder, begin=partial(make_room, services, base), progress=progress
    )
    await asyncio.to_thread(_check, base, folder)
    return await asyncio.to_thread(manifest_of, folder, revision)


def _check(base: BaseModel, folder: Path) -> None:
    require_weights([path.name for path in folder.iterdir()], f"The repository {base.model_id}")
    try:
        names_code = has_code(folder)
    except ValueError as error:
        raise Invalid(
            f"The configuration of {base.model_id} is no JSON.", reason="MODEL_NOT_USABLE"
        ) from error
    if names_code:
        raise Invalid(f"The base model {base.model_id} {NAMES_CODE}", reason="MODEL_HAS_CODE")
