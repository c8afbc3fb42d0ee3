"""Downloads of what a fine-tune left: its model, its other files, and all of them as one archive."""

import zlib
from collections.abc import AsyncIterator
from datetime import datetime
from stat import S_IFREG

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from stream_zip import ZIP_64, Method, async_stream_zip

from domain.errors import Conflict, NotFound
from domain.finetunes import Artifact, Finetune, require_gguf
from domain.rate_limits import CallKind
from domain.reading import require_in_project
from domain.rules import safe_name
from domain.services import Services
from rest.endpoints import endpoint, services, viewer_or_ticket
from rest.file_responses import ranged
from rest.rate_limits import limited
from rest.streaming import Streamed

PATH = "/api/projects/{project_id}/finetunes/{finetune_id}"
MEDIA_TYPES = {".json": "application/json", ".md": "text/markdown; charset=utf-8"}
MODE = S_IFREG | 0o644

Member = tuple[str, datetime, int, Method, AsyncIterator[bytes]]


@endpoint
@limited(CallKind.READS)
async def download(request: Request) -> Response:
    """The model file; `Conflict` NOT_READY while there is none."""
    finetune = await _require(request)
    return await _file(request, finetune, require_gguf(finetune))


@endpoint
@limited(CallKind.READS)
async def artifact(request: Request) -> Response:
    """One of the files."""
    finetune, filename = await _require(request), request.path_params["filename"]
    found = next((it for it in finetune.artifacts if it.filename == filename), None)
    if found is None:
        raise NotFound(f"The fine-tune has no file {filename}.", reason="ARTIFACT_NOT_FOUND")
    return await _file(request, finetune, found)


@endpoint
@limited(CallKind.READS)
async def archive(request: Request) -> Response:
    """All of the files as one archive, packed while it is sent."""
    finetune = await _require(request)
    if not finetune.artifacts:
        raise Conflict(f"The fine-tune is {finetune.status}; it has no files yet.", reason="NOT_READY")
    filename = f"{safe_name(finetune.model_name)}.zip"
    return Streamed(
        async_stream_zip(_members(services(request), finetune), get_compressobj=_stored),
        media_type="application/zip",
        headers={"Content-Disposition": f'attachment; filename="{filename}"'},
    )


async def _require(request: Request) -> Finetune:
    """The fine-tune of the path; raises `NotFound`."""
    viewer = viewer_or_ticket(request)
    project_id, finetune_id = request.path_params["project_id"], request.path_params["finetune_id"]
    async with services(request).transactions.begin() as store:
        return await require_in_project(store.finetunes, finetune_id, project_id, viewer_id=viewer)


async def _file(request: Request, finetune: Finetune, file: Artifact) -> Response:
    suffix = file.filename[file.filename.rfind(".") :]
    return await ranged(
        request,
        services(request).storage,
        finetune.prefix + file.filename,
        filename=file.filename,
        media_type=MEDIA_TYPES.get(suffix, "application/octet-stream"),
        size=file.size_bytes,
        etag=file.sha256,
    )


async def _members(ports: Services, finetune: Finetune) -> AsyncIterator[Member]:
    """The archive's files, each read when its turn comes."""
    made = finetune.completed_at or finetune.created_at
    for file in finetune.artifacts:
        yield file.filename, made, MODE, ZIP_64, ports.storage.read(finetune.prefix + file.filename)


def _stored() -> "zlib._Compress":
    """Packs without compressing: weights do not get smaller, and a download should not wait for trying."""
    return zlib.compressobj(level=0, wbits=-zlib.MAX_WBITS)


ROUTES = [
    Route(f"{PATH}/download", download, methods=["GET"]),
    Route(f"{PATH}/artifacts.zip", archive, methods=["GET"]),
    Route(f"{PATH}/artifacts/artifacts.zip", archive, methods=["GET"]),
    Route(f"{PATH}/artifacts/{{filename}}", artifact, methods=["GET"]),
]
