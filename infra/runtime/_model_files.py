"""The local copies of models: each is downloaded once, and stored only when its SHA-256 is right."""

import asyncio
import hashlib
from contextlib import suppress
from pathlib import Path

from domain.errors import Invalid, NotFound, Unavailable
from domain.ports.model_runtime import NO_PLACE, ModelFile
from domain.ports.storage import Storage


def local_path(folder: Path, model_id: str) -> Path:
    """The path of a model's local copy."""
    return folder / f"{model_id}.gguf"


async def fetch(storage: Storage, folder: Path, model: ModelFile) -> Path:
    """The path of the local copy, downloaded when there is none or it is damaged.

    Raises `Invalid` when the file in storage is missing or damaged, `Unavailable` when it cannot be downloaded now.
    """
    path = local_path(folder, model.model_id)
    if not await asyncio.to_thread(_is_intact, path, model):
        partial = path.with_suffix(".part")
        try:
            await _download(storage, model, partial)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    return path


def delete(folder: Path, model_id: str) -> None:
    """Delete the local copy; without one, nothing happens."""
    local_path(folder, model_id).unlink(missing_ok=True)


async def _download(storage: Storage, model: ModelFile, partial: Path) -> None:
    try:
        await storage.download(model.s3_key, partial)
    except NotFound:
        raise Invalid("The model's file is not in storage.", reason="MODEL_MISSING") from None
    except OSError as error:
        message = f"The model runtime could not store the model: {error.strerror}."
        raise Unavailable(message, reason=NO_PLACE) from error
    if not await asyncio.to_thread(_is_intact, partial, model):
        raise Invalid(
            "The model's file in storage is damaged: its SHA-256 is not the one recorded.",
            reason="MODEL_DAMAGED",
        )


def _is_intact(path: Path, model: ModelFile) -> bool:
    """Whether the local copy has the recorded SHA-256; checked before every load, which reads the file anyway.

    A damaged model may load and answer nonsense.
    """
    with suppress(FileNotFoundError):
        if path.stat().st_size == model.size_bytes:
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == model.sha256
    return False
