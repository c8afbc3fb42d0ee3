"""Use cases of generation results: JSON files of an external worker in storage that become items."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from domain import items
from domain.datasets import Dataset
from domain.errors import Conflict, Invalid, NotFound
from domain.files.json_objects import JsonRow, object_row, rows_of_text
from domain.items import Item, ItemOrigin, Source
from domain.ports.storage import Storage
from domain.status_updates import unknown_field_error, unprocessable_error
from domain.store import Store
from domain.texts import replace_invalid_characters

MAX_FILE_BYTES = 33_554_432
"""Most bytes of one file of results."""
MAX_OFFSET = 2**63 - 1
FIELDS = ("values", "source_document", "start", "end", "generation_time_seconds")
"""The fields of an entry; all but `values` may be missing or null."""


@dataclass(frozen=True, slots=True)
class ResultFile:
    """A local copy of a file of results."""

    name: str
    path: Path
    size: int


async def fetch(storage: Storage, dataset: Dataset, folder: Path) -> list[ResultFile]:
    """Download a dataset's results to a folder.

    Raises `Invalid` when a file is too large, `Conflict` when one is deleted meanwhile.
    """
    files: list[ResultFile] = []
    for stored in sorted(await storage.keys(dataset.prefix), key=lambda found: found.key):
        name = stored.key.removeprefix(dataset.prefix)
        if not name.endswith(".json"):
            continue
        if stored.size > MAX_FILE_BYTES:
            raise unprocessable_error(
                f"The file {name} has more than {MAX_FILE_BYTES // 2**20} MiB; write several."
            )
        path = folder / f"{len(files)}.json"
        try:
            await storage.download(stored.key, path)
        except NotFound:
            raise Conflict(
                f"The file {name} was deleted while it was read; report DONE again.", reason="RUN_CHANGED"
            ) from None
        files.append(ResultFile(name, path, stored.size))
    return files


async def load(store: Store, dataset: Dataset, files: Sequence[ResultFile], *, now: datetime) -> None:
    """Insert the results as items, without those that are inserted already; raises `Invalid` when malformed."""
    generated = _GeneratedItems(dataset, files, await store.items.next_position(dataset.id), now)
    await store.items.add_many(generated.all())
    await store.items.recompute(dataset)
    totals = {"file_count": len(files), "total_size_bytes": sum(file.size for file in files)}
    await store.datasets.change(dataset.id, {**totals, "generation_time_seconds": generated.seconds})


class _GeneratedItems:
    """Reads the items of files in order; `seconds` is their total generation time, None where none is reported."""

    def __init__(self, dataset: Dataset, files: Sequence[ResultFile], position: int, now: datetime) -> None:
        self._dataset = dataset
        self._files = files
        self._position = position
        self._now = now
        self.seconds: float | None = None

    async def all(self) -> AsyncIterator[Item]:
        for file in self._files:
            for index, (entry, values) in enumerate(await asyncio.to_thread(_entries, file)):
                yield self._item(file, index, entry, values)

    def _item(self, file: ResultFile, index: int, entry: Any, values: dict[str, str]) -> Item:
        where = f"Entry {index} of {file.name}"
        seconds = _number(where, entry, "generation_time_seconds")
        if seconds is not None:
            self.seconds = (self.seconds or 0.0) + seconds
        item = items.new_item(
            self._dataset,
            values,
            key=f"{file.name}:{index}",
            position=self._position,
            origin=ItemOrigin.GENERATED,
            now=self._now,
            source=_source(where, entry),
            generation_time_seconds=seconds,
        )
        self._position += 1
        return item


def _entries(file: ResultFile) -> list[tuple[Any, dict[str, str]]]:
    """The entries of a file, each with its values as texts, in which numbers stand as in the file."""
    try:
        text = file.path.read_text("utf-8-sig")
        entries = json.loads(text)
    except (ValueError, RecursionError):
        raise unprocessable_error(f"The file {file.name} is not JSON.") from None
    if not isinstance(entries, list):
        raise unprocessable_error(f"The file {file.name} must be a JSON array.")
    for index, entry in enumerate(entries):
        _check_entry(f"Entry {index} of {file.name}", entry)
    rows = enumerate(rows_of_text([text]))
    return [
        (entry, _values(f"Entry {index} of {file.name}", row))
        for entry, (index, row) in zip(entries, rows, strict=True)
    ]


def _check_entry(where: str, entry: object) -> None:
    if not isinstance(entry, dict):
        raise unprocessable_error(f"{where} must be an object with the fields {', '.join(FIELDS)}.")
    for name in entry:
        if name not in FIELDS:
            raise unprocessable_error(f"{where}: {unknown_field_error('', name, FIELDS).message}")
    if not isinstance(entry.get("values"), dict):
        raise unprocessable_error(f"{where} must have `values`, an object of texts by field name.")


def _values(where: str, row: JsonRow) -> dict[str, str]:
    values = row if row.fault else object_row(row.line, row.values["values"])
    if values.fault:
        raise unprocessable_error(f"{where} cannot be read. {values.fault}")
    return dict(values.values)


def _source(where: str, entry: Mapping[str, Any]) -> Source | None:
    document = entry.get("source_document")
    if document is not None and not isinstance(document, str):
        raise unprocessable_error(f"{where}: `source_document` must be a text.")
    start, end = _offset(where, entry, "start"), _offset(where, entry, "end")
    if document is None and start is None and end is None:
        return None
    name = None if document is None else replace_invalid_characters(document)
    return Source(source_document=name, start=start, end=end)


def _offset(where: str, entry: Mapping[str, Any], name: str) -> int | None:
    value = entry.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_OFFSET:
        raise _number_error(where, name)
    return value


def _number(where: str, entry: Mapping[str, Any], name: str) -> float | None:
    value = entry.get(name)
    if value is None:
        return None
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < float("inf"):
        raise _number_error(where, name)
    return float(value)


def _number_error(where: str, name: str) -> Invalid:
    return unprocessable_error(f"{where}: `{name}` must be a number from 0 on.")
