"""Downloads the files of a model at a commit; a file that was downloaded in part goes on where it ended."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from domain.base_model_files import is_model_file, is_weights, require_weights
from domain.ports.model_hub import Begin, Progress
from infra.hub._requests import CHUNK, HubRequests, hub_unavailable

MAX_LISTING_BYTES = 8_000_000
PART = ".part"
DIGEST = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
MAX_WEIGHTS_BYTES = 2**62
MAX_CONFIGURATION_BYTES = 200_000_000
"""Training reads these files into memory; the largest tokenizers have 40 MB."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """A file of the commit; `digest` is the SHA-256 of a large file, and Git's SHA-1 of another."""

    name: str
    size: int
    digest: str
    is_lfs: bool

    def matches(self, path: Path) -> bool:
        """Whether a file on the disk is this one."""
        if not path.is_file() or path.stat().st_size != self.size:
            return False
        with path.open("rb") as file:
            if self.is_lfs:
                return hashlib.file_digest(file, "sha256").hexdigest() == self.digest
            blob = hashlib.sha1(b"blob %d\0" % self.size, usedforsecurity=False)
            while chunk := file.read(CHUNK):
                blob.update(chunk)
            return blob.hexdigest() == self.digest


async def download(
    requests: HubRequests, model_id: str, revision: str, folder: Path, begin: Begin, progress: Progress
) -> None:
    """Have the model's files in `folder`. `begin` is called with their size, before the first of them is read.

    Raises what `HubRequests` raises, and `Invalid` for a repository without safetensors.
    """
    listing = await requests.json(f"api/models/{model_id}/tree/{revision}", max_bytes=MAX_LISTING_BYTES)
    names, entries = _entries(listing)
    require_weights(names, f"The repository {model_id}")
    total = sum(entry.size for entry in entries)
    await begin(total)
    present = 0
    for entry in entries:
        path = folder / entry.name
        if not await asyncio.to_thread(entry.matches, path):
            source = f"{model_id}/resolve/{revision}/{quote(entry.name)}"
            async for count in _download(requests, source, entry, path):
                await progress(present + count, total)
        present += entry.size
        await progress(present, total)


def _entries(listing: Any) -> tuple[list[str], Sequence[_Entry]]:
    """The names of all files, and those that belong to the model, the small ones first."""
    try:
        files = [file for file in listing if file["type"] == "file"]
        names = [str(file["path"]) for file in files]
        entries = [_entry(file) for file in files if is_model_file(file["path"])]
    except (KeyError, TypeError, ValueError):
        raise hub_unavailable("answers with something that is no list of files") from None
    return names, sorted(entries, key=lambda entry: entry.size)


def _entry(file: dict[str, Any]) -> _Entry:
    """The file; raises `ValueError` where its size or digest is none: the digest is a part of a file's name here."""
    lfs, name, size = file.get("lfs"), file["path"], file["size"]
    digest = (file if lfs is None else lfs)["oid"]
    largest = MAX_WEIGHTS_BYTES if is_weights(name) else MAX_CONFIGURATION_BYTES
    if type(size) is not int or not 0 <= size <= largest or not DIGEST.fullmatch(digest):
        raise ValueError(name)
    return _Entry(name, size, digest, lfs is not None)


async def _download(requests: HubRequests, source: str, entry: _Entry, path: Path) -> AsyncIterator[int]:
    """Write one file, and yield how many bytes of it are there. Its part's name has its digest: other parts are no use."""
    part = path.with_name(f"{entry.name}.{entry.digest[:16]}{PART}")
    part.touch()
    count = part.stat().st_size
    if count < entry.size:
        with part.open("ab") as file:
            async for chunk in requests.stream(source, start=count):
                count += len(chunk)
                if count > entry.size:
                    break
                await asyncio.to_thread(file.write, chunk)
                yield count
    if not await asyncio.to_thread(entry.matches, part):
        if count >= entry.size:
            part.unlink()
        raise hub_unavailable(f"has sent {entry.name} damaged or incomplete")
    part.replace(path)
