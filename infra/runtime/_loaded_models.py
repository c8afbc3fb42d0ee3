"""The loaded models: one process for each, started on request; the least recently requested is unloaded first."""

import asyncio
import logging
from collections import defaultdict
from pathlib import Path

from domain.ports.model_runtime import ModelFile
from domain.ports.storage import Storage
from infra.runtime import _model_files
from infra.runtime._model_process import ModelProcess, start

logger = logging.getLogger(__name__)


class LoadedModels:
    """At most `max_models` models in memory, with local copies of their files in `folder`."""

    def __init__(self, storage: Storage, folder: Path, max_models: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._storage = storage
        self._folder = folder
        self._max_models = max_models
        self._running: dict[str, ModelProcess] = {}  # the least recently requested first
        self._model_locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._load_lock = asyncio.Lock()

    async def get(self, model: ModelFile) -> ModelProcess:
        """The process of a model, started when it does not run.

        Raises `Invalid` when the model's file cannot be loaded, `Unavailable` when it cannot be downloaded now.
        """
        async with self._model_locks[model.model_id]:
            process = self._running.get(model.model_id)
            if process is None or not process.is_running:
                path = await _model_files.fetch(self._storage, self._folder, model)
                return await self._load(model.model_id, path)
            self._running[model.model_id] = self._running.pop(model.model_id)
            return process

    async def remove(self, model_id: str) -> None:
        """Unload a model and delete its local copy; an unknown id is ignored."""
        async with self._model_locks[model_id]:
            await self._stop(model_id)
            _model_files.delete(self._folder, model_id)

    async def close(self) -> None:
        """Unload every model."""
        await asyncio.gather(*(self._stop(model_id) for model_id in list(self._running)))

    async def _load(self, model_id: str, path: Path) -> ModelProcess:
        """Load one model at a time, so that there are never more than `max_models` in memory."""
        async with self._load_lock:
            await self._make_room()
            self._running[model_id] = process = await start(path)
            logger.info("Model %s was loaded by process %d.", model_id, process.pid)
            return process

    async def _make_room(self) -> None:
        self._running = {
            model_id: process for model_id, process in self._running.items() if process.is_running
        }
        while len(self._running) >= self._max_models:
            await self._stop(next(iter(self._running)))

    async def _stop(self, model_id: str) -> None:
        process = self._running.pop(model_id, None)
        if process is not None:
            await process.stop()
            logger.info("Model %s was unloaded.", model_id)
