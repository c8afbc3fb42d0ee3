"""Webhooks of external workers: the status and the results of a generation or a training."""

import hmac
from collections.abc import Awaitable, Callable
from contextlib import suppress

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from domain.artifacts import Artifact
from domain.datasets import UNFINISHED, Dataset, RunStatus
from domain.errors import Conflict, Unauthenticated
from domain.finetunes import Finetune
from domain.ids import Noun
from domain.jobs import Superseded
from domain.reading import not_found_error, require
from domain.services import Services
from domain.status_updates import StatusUpdate
from domain.use_cases import external_artifacts, finetunes, generation_results, status_updates
from domain.use_cases.generation_results import ResultFile
from edge.bearer_tokens import bearer_token
from rest.endpoints import endpoint, json_object, services_of, viewer_id
from rest.operations import (
    BEARER_OR_WORKER_KEY,
    TEXT,
    DocumentedRoute,
    Operation,
    json_body,
    json_response,
    object_schema,
)
from rest.temporary_folders import temporary_folder
from rest.webhook_bodies import STATUS_UPDATE_SCHEMA, read_status_update

MAX_ATTEMPTS = 3
"""How often a status update is tried that concurrent ones of the same run supersede."""


@endpoint
async def update_dataset_status(request: Request) -> Response:
    """The status of a generation; DONE loads its result files as items."""
    services = services_of(request)
    dataset = await _dataset(request, request.path_params["dataset_id"])
    update = read_status_update(await json_object(request), services.now())
    if update.status is not RunStatus.DONE or dataset.status not in UNFINISHED:
        return _response(await _update_dataset(services, dataset, update, []))
    async with temporary_folder(services.work_folder, "results-") as folder:
        files = await generation_results.fetch(services.storage, dataset, folder)
        return _response(await _update_dataset(services, dataset, update, files))


async def _update_dataset(
    services: Services, dataset: Dataset, update: StatusUpdate, files: list[ResultFile]
) -> Dataset:
    """Change the status and add the items in one transaction."""
    owner, now = dataset.owner_id, services.now()
    async with services.transactions.begin() as store:
        if await status_updates.update_dataset(store, dataset.id, update, owner_id=owner, now=now):
            await generation_results.load(store, dataset, files, now=now)
        return await require(store.datasets, dataset.id, viewer_id=owner)


@endpoint
async def update_finetune_status(request: Request) -> Response:
    """The status of a training."""
    services = services_of(request)
    finetune = await _finetune(request, request.path_params["finetune_id"])
    update = read_status_update(await json_object(request), services.now())
    artifacts = await _artifacts(services, finetune, update) if update.status is RunStatus.DONE else []
    for _ in range(MAX_ATTEMPTS):
        with suppress(Superseded):  # the run started or ended meanwhile: check the transition again
            return _response(await _update_finetune(services, finetune, update, artifacts))
    raise Conflict("The run changed while this was reported; report it again.", reason="RUN_CHANGED")


async def _artifacts(services: Services, finetune: Finetune, update: StatusUpdate) -> list[Artifact]:
    """The files of a run that becomes DONE; none where it is that already."""
    async with services.transactions.read() as store:
        if not await status_updates.check_done(store, finetune.id, owner_id=finetune.owner_id):
            return []
        is_video = await finetunes.is_video_model(store, finetune)
    find = external_artifacts.reported_artifacts if is_video else external_artifacts.text_model_artifacts
    return await find(services.storage, finetune, update.result)


async def _update_finetune(
    services: Services, finetune: Finetune, update: StatusUpdate, artifacts: list[Artifact]
) -> Finetune:
    async with services.transactions.begin() as store:
        return await status_updates.update_finetune(
            store, finetune.id, update, artifacts, owner_id=finetune.owner_id
        )


def _response(run: Dataset | Finetune) -> Response:
    return JSONResponse({"id": run.id, "status": run.status})


async def _dataset(request: Request, id: str) -> Dataset:
    """The dataset, where the caller may update it; raises `NotFound`."""
    async with services_of(request).transactions.read() as store:
        owner = await _owner_id(request, store.datasets.owner_of, id)
        if owner is None:
            raise not_found_error(Noun.DATASET, id)
        return await require(store.datasets, id, viewer_id=owner)


async def _finetune(request: Request, id: str) -> Finetune:
    """The fine-tune, where the caller may update it; raises `NotFound`."""
    async with services_of(request).transactions.read() as store:
        owner = await _owner_id(request, store.finetunes.owner_of, id)
        if owner is None:
            raise not_found_error(Noun.FINETUNE, id)
        return await require(store.finetunes, id, viewer_id=owner)


async def _owner_id(
    request: Request, owner_of: Callable[[str], Awaitable[str | None]], id: str
) -> str | None:
    """The user in whose name the caller acts: with the external workers' key the owner, else the signed-in viewer.

    Raises `Unauthenticated`.
    """
    header, key = request.headers.get("x-api-key"), services_of(request).external_api_key
    if header is None or (key is None and bearer_token(request.headers.get("authorization")) is not None):
        return viewer_id(request)
    if not key or not hmac.compare_digest(header.encode(), key.encode()):
        raise Unauthenticated("The X-API-Key is wrong.", reason="INVALID_API_KEY")
    return await owner_of(id)


def _operation(id: str, summary: str, description: str) -> Operation:
    status = {"enum": [status.value for status in RunStatus]}
    return Operation(
        id=id,
        summary=summary,
        description=description,
        tag="External workers",
        access=BEARER_OR_WORKER_KEY,
        body=json_body(STATUS_UPDATE_SCHEMA),
        responses={200: json_response("The run.", object_schema({"id": TEXT, "status": status}))},
        errors=(400, 409, 413, 415, 422),
    )


METHODS = ("PUT", "POST")
ROUTES = [
    DocumentedRoute(
        "/api/external/training-datasets/{dataset_id}/update-status",
        update_dataset_status,
        _operation(
            "updateDatasetStatus",
            "Report the status of a generation",
            "DONE loads the result files in storage as items, each once.",
        ),
        methods=METHODS,
    ),
    DocumentedRoute(
        "/api/external/finetunes/{finetune_id}/update-status",
        update_finetune_status,
        _operation(
            "updateFinetuneStatus", "Report the status of a training", "DONE ends it with its artifacts."
        ),
        methods=METHODS,
    ),
]
