"""Has the files of a fine-tune's base model on this machine while the fine-tune is trained, and records which ones."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from domain.base_model_files import require_pinned
from domain.base_models import TINY, BaseModel
from domain.errors import Invalid
from domain.finetunes import Finetune
from domain.job_events import Progress
from domain.jobs import Job
from domain.services import Services
from domain.use_cases import base_model_files
from domain.use_cases.base_model_files import Pin
from workers.dispatcher import record_events

FETCHED = 0.02
"""The progress of a job when the base model is there."""
REPORT_INTERVAL_S = 1.0
MEGABYTE, GIGABYTE = 1e6, 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingFiles:
    """What a run trains from; without a folder where the training process makes the model itself."""

    license: str | None
    folder: Path | None = None
    revision: str | None = None
    sha256: str | None = None


@asynccontextmanager
async def for_training(services: Services, job: Job, finetune: Finetune) -> AsyncIterator[TrainingFiles]:
    """The files of the base model, which stay while the block runs; the fine-tune's first attempt records their digest.

    Raises `Invalid` where the base model is deleted, or its weights are not those that the fine-tune began with.
    """
    base = await _base_model(services, finetune)
    if base.id == TINY.id:
        yield TrainingFiles(license=base.license, sha256=finetune.base_model_sha256)
        return
    pin = Pin(finetune.base_model_sha256, finetune.base_model_revision)
    async with base_model_files.on_disk(services, base, pin, _Reporter(services, job)) as manifest:
        require_pinned(base.model_id, finetune.base_model_sha256, manifest.sha256)
        values = {"base_model_revision": manifest.revision, "base_model_sha256": manifest.sha256}
        async with services.transactions.begin() as store:
            await store.finetunes.change(finetune.id, values)
            await store.base_models.record_use(base.id, services.now())
        folder = services.base_model_cache.folder(base.id)
        yield TrainingFiles(
            license=base.license, folder=folder, revision=manifest.revision, sha256=manifest.sha256
        )


async def _base_model(services: Services, finetune: Finetune) -> BaseModel:
    async with services.transactions.read() as store:
        base = await store.base_models.by_model_id(finetune.base_model_name)
    if base is None:
        raise Invalid(
            f"The base model {finetune.base_model_name} has been removed.", reason="BASE_MODEL_MISSING"
        )
    return base


class _Reporter:
    """Records how much of the files is there as the job's progress, at most once in `REPORT_INTERVAL_S`."""

    def __init__(self, services: Services, job: Job) -> None:
        self._services = services
        self._job = job
        self._reported: tuple[str, float] = ("", 0.0)

    async def __call__(self, text: str, present: int, size: int) -> None:
        before, at = self._reported
        if text == before and present < size and time.monotonic() - at < REPORT_INTERVAL_S:
            return
        self._reported = text, time.monotonic()
        share = present / size if size else 0.0
        message = f"{text}: {_amount(present, size)}" if size else text
        await record_events(self._services, self._job, [Progress(FETCHED * share, message)])


def _amount(present: int, size: int) -> str:
    """Such as `1.2 of 3.1 GB`."""
    unit, name, digits = (GIGABYTE, "GB", 1) if size >= GIGABYTE else (MEGABYTE, "MB", 0)
    return f"{present / unit:.{digits}f} of {size / unit:.{digits}f} {name}"
