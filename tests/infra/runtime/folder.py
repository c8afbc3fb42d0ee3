"""Object storage in a folder, with the methods that a model runtime calls."""

import hashlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

from domain.errors import NotFound
from domain.ports.model_runtime import ModelFile
from domain.ports.storage import Storage


class FolderStorage:
    """Keys are paths below the folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.downloads: list[str] = []

    async def download(self, key: str, path: Path) -> None:
        self.downloads.append(key)
        if not (self.folder / key).exists():
            raise NotFound("No such object.")
        shutil.copyfile(self.folder / key, path)

    async def read(self, key: str) -> AsyncIterator[bytes]:
        data = (self.folder / key).read_bytes()
        for start in range(0, len(data), 1000):
            yield data[start : start + 1000]

    @property
    def port(self) -> Storage:
        return cast("Storage", self)


def model_file(storage: FolderStorage, model_id: str) -> ModelFile:
    """The record of `{model_id}.gguf` in the folder."""
    raw = (storage.folder / f"{model_id}.gguf").read_bytes()
    digest = hashlib.sha256(raw).hexdigest()
    return ModelFile(model_id=model_id, s3_key=f"{model_id}.gguf", size_bytes=len(raw), sha256=digest)
