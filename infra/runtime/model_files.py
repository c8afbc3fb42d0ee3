"""The local copies of models: each is downloaded once, whole and unharmed or not at all."""

import asyncio
import hashlib
from contextlib import suppress
from pathlib import Path

from domain.errors import Invalid, NotFound, Unavailable
from domain.ports.model_runtime import ModelFile
from domain.ports.storage import Storage


def local_path(folder: Path, model_id: str) -> Path:
    """Where the copy of a model is."""
    return folder / f"{model_id}.gguf"


async def fetch(storage: Storage, folder: Path, model: ModelFile) -> Path:
    """The local copy, downloaded when there is none or it is damaged.

    Raises `Invalid` when what storage has is not the model, `Unavailable` when it cannot be had now.
    """
    path = local_path(folder, model.model_id)
    if not await asyncio.to_thread(_is_whole, path, model):
        draft = path.with_suffix(".part")
        try:
            await _download(storage, model, draft)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    return path


def drop(folder: Path, model_id: str) -> None:
    """Delete the local copy, if there is one."""
    local_path(folder, model_id).unlink(missing_ok=True)


async def _download(storage: Storage, model: ModelFile, draft: Path) -> None:
    try:
        await storage.download(model.s3_key, draft)
    except NotFound:
        raise Invalid("The model's file is not in storage.", reason="MODEL_MISSING") from None
    except OSError as error:
        raise Unavailable(f"The model runtime could not keep the model: {error.strerror}.") from error
    if not await asyncio.to_thread(_is_whole, draft, model):
        raise Invalid(
            "The model's file in storage is damaged: its SHA-256 is not the one recorded.",
            reason="MODEL_DAMAGED",
        )


def _is_whole(path: Path, model: ModelFile) -> bool:
    """Hashing reads what is about to be loaded anyway, so it is done each time: damage loads and talks nonsense."""
    with suppress(FileNotFoundError):
        if path.stat().st_size == model.size_bytes:
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == model.sha256
    return False
