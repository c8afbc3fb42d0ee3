"""A dataset's items as an .xlsx file, which is written to disk before its first byte is sent.

A ZIP archive could be streamed, but a value that a cell cannot hold would then be found too late for a status.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from starlette.requests import ClientDisconnect, Request

from domain.datasets import Dataset
from domain.items import Item, ItemSelection
from domain.splits import Split
from rest.endpoints import services_of
from rest.temporary_folders import temporary_folder
from rest.xlsx_tables import XlsxTable

BATCH = 500
"""Items that are written in one go, in a thread."""
WRITERS = asyncio.Semaphore(2)
"""How many files a process writes at once, as each takes a core and disk; further requests wait their turn."""


async def xlsx_file(
    request: Request, dataset: Dataset, split: Split | None, selection: ItemSelection
) -> IO[bytes]:
    """The file, which has no name and so is gone when it is closed or the process ends.

    Raises `Conflict` FORMAT_CANNOT_HOLD, and `ClientDisconnect`.
    """
    async with WRITERS, temporary_folder(services_of(request).work_folder, "export-") as folder:
        file: IO[bytes] = await asyncio.to_thread(TemporaryFile, dir=folder.parent)
        try:
            await _write(request, file, folder, dataset, split, selection)
        except BaseException:
            file.close()
            raise
        return file


async def _write(
    request: Request,
    file: IO[bytes],
    folder: Path,
    dataset: Dataset,
    split: Split | None,
    selection: ItemSelection,
) -> None:
    table = await asyncio.to_thread(XlsxTable, file, folder, dataset.field_names)
    try:
        async with services_of(request).transactions.begin() as store:
            items = store.items.stream(
                dataset.id, split=split, selection=selection, viewer_id=dataset.owner_id
            )
            async with aclosing(_batches(items)) as batches:
                async for batch in batches:
                    if await request.is_disconnected():
                        raise ClientDisconnect
                    await asyncio.to_thread(table.add, batch)
        await asyncio.to_thread(table.save)
    finally:
        table.close()


async def _batches(items: AsyncGenerator[Item, None]) -> AsyncGenerator[list[Sequence[str]], None]:
    """The values of the items."""
    batch: list[Sequence[str]] = []
    async with aclosing(items):
        async for item in items:
            batch.append(item.values)
            if len(batch) == BATCH:
                yield batch
                batch = []
    if batch:
        yield batch
