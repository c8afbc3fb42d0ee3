"""Where workers of the user's report: how far a generation or a training is, and what it left."""

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from domain.datasets import Dataset, RunStatus
from domain.errors import Conflict, Unauthenticated
from domain.finetunes import Finetune
from domain.ids import Noun
from domain.jobs import Superseded
from domain.reading import missing, require
from domain.services import Services
from domain.status_updates import UNDER_WAY, StatusUpdate
from domain.use_cases import generation_results, status_updates
from domain.use_cases.generation_results import ResultFile
from edge.bearer_tokens import bearer_token
from rest.endpoints import endpoint, json_object, services, viewer_id
from rest.webhook_bodies import read_status_update

ATTEMPTS = 3
"""How often a report is taken anew that another one of the same run overtook."""


@endpoint
async def dataset(request: Request) -> Response:
    """A worker's word on a generation; on DONE its results become items."""
    ports, id = services(request), request.path_params["dataset_id"]
    found = await _dataset(request, id)
    report = read_status_update(await json_object(request), ports.now())
    if report.status is not RunStatus.DONE or found.status not in UNDER_WAY:
        return _answer(await _report_dataset(ports, found, report, []))
    await asyncio.to_thread(ports.work_folder.mkdir, parents=True, exist_ok=True)
    with TemporaryDirectory(dir=ports.work_folder, prefix="results-") as folder:
        files = await generation_results.fetch(ports.storage, found, Path(folder))
        return _answer(await _report_dataset(ports, found, report, files))


async def _report_dataset(
    ports: Services, found: Dataset, report: StatusUpdate, files: list[ResultFile]
) -> Dataset:
    """The status and the items, both or neither."""
    owner, now = found.owner_id, ports.now()
    async with ports.transactions.begin() as store:
        if await status_updates.update_dataset(store, found.id, report, owner_id=owner, now=now):
            await generation_results.load(store, found, files, now=now)
        return await require(store.datasets, found.id, viewer_id=owner)


@endpoint
async def finetune(request: Request) -> Response:
    """A worker's word on a training."""
    ports, id = services(request), request.path_params["finetune_id"]
    found = await _finetune(request, id)
    report = read_status_update(await json_object(request), ports.now())
    for _ in range(ATTEMPTS):
        with suppress(
            Superseded
        ):  # it began or ended between two statements: what may be said is decided anew
            return _answer(await _report_finetune(ports, found, report))
    raise Conflict("The run changed while this was reported; report it again.", reason="RUN_CHANGED")


async def _report_finetune(ports: Services, found: Finetune, report: StatusUpdate) -> Finetune:
    is_end = report.status is RunStatus.DONE and found.status in UNDER_WAY
    artifacts = await status_updates.stored_artifacts(ports.storage, found, report.results) if is_end else []
    async with ports.transactions.begin() as store:
        return await status_updates.update_finetune(
            store, found.id, report, artifacts, owner_id=found.owner_id
        )


def _answer(it: Dataset | Finetune) -> Response:
    return JSONResponse({"id": it.id, "status": it.status})


async def _dataset(request: Request, id: str) -> Dataset:
    """The dataset of the path, when the caller may report on it; raises `NotFound`."""
    async with services(request).transactions.begin() as store:
        owner = await _reporter(request, store.datasets.owner_of, id)
        if owner is None:
            raise missing(Noun.DATASET, id)
        return await require(store.datasets, id, viewer_id=owner)


async def _finetune(request: Request, id: str) -> Finetune:
    """The fine-tune of the path, when the caller may report on it; raises `NotFound`."""
    async with services(request).transactions.begin() as store:
        owner = await _reporter(request, store.finetunes.owner_of, id)
        if owner is None:
            raise missing(Noun.FINETUNE, id)
        return await require(store.finetunes, id, viewer_id=owner)


async def _reporter(
    request: Request, owner_of: Callable[[str], Awaitable[str | None]], id: str
) -> str | None:
    """In whose name the caller reports: the owner's, for who has the workers' key; else the signed-in viewer's.

    Raises `Unauthenticated`.
    """
    given, key = request.headers.get("x-api-key"), services(request).external_api_key
    if given is None or (key is None and bearer_token(request.headers.get("authorization")) is not None):
        return viewer_id(request)
    if not key or not hmac.compare_digest(given.encode(), key.encode()):
        raise Unauthenticated("The X-API-Key is wrong.", reason="INVALID_API_KEY")
    return await owner_of(id)


METHODS = ["PUT", "POST"]
ROUTES = [
    Route("/api/external/training-datasets/{dataset_id}/update-status", dataset, methods=METHODS),
    Route("/api/external/finetunes/{finetune_id}/update-status", finetune, methods=METHODS),
]
