"""Downloads of a fine-tune's artifacts: its model, its other files, and all of them as one archive."""

import zlib
from collections.abc import AsyncIterator
from datetime import datetime
from stat import S_IFREG

from starlette.requests import Request
from starlette.responses import Response
from stream_zip import ZIP_64, Method, async_stream_zip

from domain.artifacts import Artifact, ArtifactKind
from domain.errors import Conflict, NotFound
from domain.finetunes import Finetune, require_gguf
from domain.ports.storage import Storage
from domain.rate_limits import CallKind
from domain.rules import safe_name
from domain.storage_keys import BASE_MODEL_FOLDER
from rest.endpoints import endpoint, require_of_path, services_of, viewer_id
from rest.file_responses import file_response
from rest.operations import (
    BEARER_OR_TICKET,
    RANGE_HEADERS,
    DocumentedRoute,
    Operation,
    attachment,
    stored_file,
)
from rest.rate_limits import rate_limited
from rest.streaming import ClosingStreamingResponse

PATH = "/api/projects/{project_id}/finetunes/{finetune_id}"
MEDIA_TYPES = {".json": "application/json", ".md": "text/markdown; charset=utf-8"}
DEFAULT_MEDIA_TYPE = "application/octet-stream"
MODE = S_IFREG | 0o644

Member = tuple[str, datetime, int, Method, AsyncIterator[bytes]]


@endpoint
@rate_limited(CallKind.READS)
async def download(request: Request) -> Response:
    """The model file; `Conflict` NOT_READY while there is none."""
    finetune = await _require(request)
    return await _file(request, finetune, require_gguf(finetune))


@endpoint
@rate_limited(CallKind.READS)
async def artifact(request: Request) -> Response:
    """One artifact."""
    finetune, filename = await _require(request), request.path_params["filename"]
    file = next((artifact for artifact in finetune.artifacts if artifact.filename == filename), None)
    if file is None:
        raise NotFound(f"The fine-tune has no file {filename}.", reason="ARTIFACT_NOT_FOUND")
    return await _file(request, finetune, file)


@endpoint
@rate_limited(CallKind.READS)
async def archive(request: Request) -> Response:
    """All artifacts as one ZIP archive, made while it is sent."""
    finetune = await _require(request)
    if not finetune.artifacts:
        raise Conflict(f"The fine-tune is {finetune.status}; it has no files yet.", reason="NOT_READY")
    filename = f"{safe_name(finetune.model_name)}.zip"
    return ClosingStreamingResponse(
        async_stream_zip(_members(services_of(request).storage, finetune), get_compressobj=_no_compression),
        media_type="application/zip",
        headers={"Content-Disposition": f'attachment; filename="{filename}"'},
    )


async def _require(request: Request) -> Finetune:
    """The fine-tune of the path; raises `NotFound`."""
    viewer = viewer_id(request, allow_ticket=True)
    return await require_of_path(request, lambda store: store.finetunes, "finetune_id", viewer_id=viewer)


async def _file(request: Request, finetune: Finetune, file: Artifact) -> Response:
    suffix = file.filename[file.filename.rfind(".") :]
    return await file_response(
        request,
        services_of(request).storage,
        finetune.key_of(file),
        filename=file.filename,
        media_type=MEDIA_TYPES.get(suffix, DEFAULT_MEDIA_TYPE),
        size=file.size_bytes,
        etag=file.sha256,
    )


async def _members(storage: Storage, finetune: Finetune) -> AsyncIterator[Member]:
    made = finetune.completed_at or finetune.created_at
    for file in finetune.artifacts:
        yield _path_in_archive(file), made, MODE, ZIP_64, storage.read(finetune.key_of(file))


def _path_in_archive(file: Artifact) -> str:
    in_folder = file.kind is ArtifactKind.BASE_MODEL
    return f"{BASE_MODEL_FOLDER}/{file.filename}" if in_folder else file.filename


def _no_compression() -> "zlib._Compress":
    """Compression level 0: model weights hardly compress, and trying would slow the download down."""
    return zlib.compressobj(level=0, wbits=-zlib.MAX_WBITS)


DOWNLOAD = Operation(
    id="downloadModel",
    summary="The GGUF file of a fine-tune",
    tag="Files",
    access=BEARER_OR_TICKET,
    parameters=RANGE_HEADERS,
    responses=stored_file(DEFAULT_MEDIA_TYPE),
    errors=(409, 416, 429),
)
ARTIFACT = Operation(
    id="downloadArtifact",
    summary="One artifact of a fine-tune",
    tag="Files",
    access=BEARER_OR_TICKET,
    parameters=RANGE_HEADERS,
    responses=stored_file(DEFAULT_MEDIA_TYPE, "application/json", "text/markdown"),
    errors=(409, 416, 429),
)
ARCHIVE = Operation(
    id="downloadArtifacts",
    summary="All artifacts of a fine-tune as a ZIP archive",
    tag="Files",
    access=BEARER_OR_TICKET,
    responses={200: attachment("The archive.", "application/zip")},
    errors=(409, 429),
)
ROUTES = [
    DocumentedRoute(f"{PATH}/download", download, DOWNLOAD),
    DocumentedRoute(f"{PATH}/artifacts.zip", archive, ARCHIVE),
    DocumentedRoute(f"{PATH}/artifacts/artifacts.zip", archive, ARCHIVE),
    DocumentedRoute(f"{PATH}/artifacts/{{filename}}", artifact, ARTIFACT),
]
