"""The models that are loaded: one process each, started when asked for, the least recently asked stopped first."""

import asyncio
import logging
from collections import defaultdict
from pathlib import Path

from domain.ports.model_runtime import ModelFile
from domain.ports.storage import Storage
from infra.runtime import model_files
from infra.runtime.model_process import ModelProcess, start

logger = logging.getLogger(__name__)


class Models:
    """At most `most` models in memory, whose files are kept in `folder`."""

    def __init__(self, storage: Storage, folder: Path, most: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._storage = storage
        self._folder = folder
        self._most = most
        self._running: dict[str, ModelProcess] = {}  # the least recently asked first
        self._one_at_a_time: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._loading = asyncio.Lock()

    async def ask(self, model: ModelFile) -> ModelProcess:
        """The process that answers for a model, started if need be.

        Raises `Invalid` when its file cannot be loaded, `Unavailable` when it cannot be had now.
        """
        async with self._one_at_a_time[model.model_id]:
            process = self._running.get(model.model_id)
            if process is None or not process.alive:
                path = await model_files.fetch(self._storage, self._folder, model)
                return await self._load(model.model_id, path)
            self._running[model.model_id] = self._running.pop(model.model_id)
            return process

    async def remove(self, model_id: str) -> None:
        """Stop a model and delete its local copy; an unknown one is ignored."""
        async with self._one_at_a_time[model_id]:
            await self._stop(model_id)
            model_files.drop(self._folder, model_id)

    async def close(self) -> None:
        """Stop all of them."""
        await asyncio.gather(*(self._stop(model_id) for model_id in list(self._running)))

    async def _load(self, model_id: str, path: Path) -> ModelProcess:
        """One after the other, so that there are never more in memory than may be."""
        async with self._loading:
            await self._make_room()
            self._running[model_id] = process = await start(path)
            logger.info("%s is loaded by process %d", model_id, process.pid)
            return process

    async def _make_room(self) -> None:
        self._running = {name: process for name, process in self._running.items() if process.alive}
        while len(self._running) >= self._most:
            await self._stop(next(iter(self._running)))

    async def _stop(self, model_id: str) -> None:
        process = self._running.pop(model_id, None)
        if process is not None:
            await process.stop()
            logger.info("%s is stopped", model_id)
