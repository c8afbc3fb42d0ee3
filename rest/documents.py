"""Uploads and downloads of documents."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from domain.documents import (
    Document,
    DocumentKind,
    DocumentStatus,
    check_project_quota,
)
from domain.errors import Conflict, DomainError, NotFound, Unavailable
from domain.ports.storage import ObjectChanged, Storage
from domain.projects import require_active
from domain.rate_limits import CallKind
from domain.reading import require
from domain.services import Services
from domain.use_cases.documents import add_uploaded
from edge.bodies import require_uncompressed
from rest.endpoints import endpoint, require_of_path, services_of, viewer_id
from rest.errors import refusal
from rest.file_responses import file_response
from rest.form_uploads import MAX_FILES, FormUpload, kind_of
from rest.multipart import boundary_of, parts
from rest.operations import (
    BEARER,
    BEARER_OR_TICKET,
    BINARY,
    RANGE_HEADERS,
    TEXT,
    DocumentedRoute,
    Operation,
    array_schema,
    json_response,
    object_schema,
    query_choice,
    stored_file,
)
from rest.rate_limits import rate_limited

MAX_FORM_OVERHEAD = 1_048_576
"""Bytes by which a body may be longer than its files: headers and boundaries."""


@endpoint
@rate_limited(CallKind.UPLOADS)
async def upload(request: Request) -> Response:
    """Files as a multipart form; a worker reads them afterwards."""
    viewer, project_id = viewer_id(request), request.path_params["project_id"]
    used_bytes = await _used_bytes(request, project_id, viewer)
    require_uncompressed(request.scope["headers"])
    boundary = boundary_of(request)
    if boundary is None:
        return refusal(415, "UNSUPPORTED_MEDIA_TYPE", "Send the files as multipart/form-data.")
    _check_content_length(request, used_bytes)
    kind = request.query_params.get("kind")
    received = FormUpload(services_of(request), project_id, used_bytes, kind_of(kind) if kind else None)
    try:
        async for part in parts(request, boundary):
            await received.read(part)
        documents = await _save(received, viewer)
    except BaseException:
        await _discard(received)
        raise
    return JSONResponse({"files": [_json(document) for document in documents]}, status_code=201)


async def _save(received: FormUpload, viewer: str) -> list[Document]:
    services = received.services
    async with services.transactions.begin() as store:
        return await add_uploaded(
            store,
            received.project_id,
            received.documents(),
            limits=services.limits,
            viewer_id=viewer,
            now=services.now(),
        )


async def _used_bytes(request: Request, project_id: str, viewer: str) -> int:
    """The size of the project's documents; raises `NotFound`."""
    async with services_of(request).transactions.read() as store:
        require_active(await require(store.projects, project_id, viewer_id=viewer))
        return await store.documents.total_bytes(project_id)


def _check_content_length(request: Request, used_bytes: int) -> None:
    """Raise `LimitExceeded` for a body that is too long by its Content-Length, before it is read."""
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit():
        check_project_quota(max(0, int(length) - MAX_FORM_OVERHEAD), used_bytes, services_of(request).limits)


async def _discard(received: FormUpload) -> None:
    """Delete the files of a failed request from storage, now or by a background task."""
    for _, document in received.files:
        try:
            await received.services.storage.delete(document.prefix)
        except DomainError:
            await _discard_later(received.services, document)


async def _discard_later(services: Services, document: Document) -> None:
    try:
        async with services.transactions.begin() as store:
            await store.background_tasks.delete_files([document.prefix])
    except Unavailable:
        return  # storage and database are both unavailable: the files stay under an id that no row has


def _json(document: Document) -> dict[str, Any]:
    return {
        "id": document.id,
        "filename": document.filename,
        "kind": document.kind.lower(),
        "status": document.status.lower(),
        "mime_type": document.mime_type,
        "size_bytes": document.size_bytes,
        "created_at": document.created_at.isoformat(),
    }


@endpoint
@rate_limited(CallKind.READS)
async def download(request: Request) -> Response:
    """The file of a document, unchanged."""
    viewer = viewer_id(request, allow_ticket=True)
    document = await require_of_path(request, lambda store: store.documents, "document_id", viewer_id=viewer)
    if not document.is_stored:
        raise Conflict("The document's upload is not complete.", reason="NOT_READY")
    storage = services_of(request).storage
    etag = document.etag or await _etag(storage, document)
    return await file_response(
        request,
        storage,
        document.s3_key,
        filename=document.filename,
        media_type=document.mime_type,
        size=document.size_bytes,
        etag=etag,
        stored_etag=etag,
    )


async def _etag(storage: Storage, document: Document) -> str:
    """The ETag of a document that no worker has read yet; raises `NotFound` or `ObjectChanged`."""
    stored = await storage.head(document.s3_key)
    if stored is None:
        raise NotFound("There is no such object in storage.", reason="OBJECT_NOT_FOUND")
    if stored.size != document.size_bytes:
        raise ObjectChanged
    return stored.etag


KINDS = [kind.lower() for kind in DocumentKind]
FORM = object_schema(
    {
        "kind": {"enum": KINDS, "description": "The purpose of the files; needed unless the query has it."},
        "files": array_schema(BINARY, minItems=1, maxItems=MAX_FILES),
    },
    optional=["kind"],
    description="`kind` first, then one or many `files`: the type of a file is then checked before it is read.",
)
UPLOADED = object_schema(
    {
        "id": TEXT,
        "filename": TEXT,
        "kind": {"enum": KINDS},
        "status": {"enum": [status.lower() for status in DocumentStatus]},
        "mime_type": TEXT,
        "size_bytes": {"type": "integer", "minimum": 0},
        "created_at": {"type": "string", "format": "date-time"},
    }
)
UPLOAD = Operation(
    id="uploadFiles",
    summary="Upload files to a project",
    description="A worker reads them afterwards: follow the status of the documents.",
    tag="Files",
    access=BEARER,
    parameters=(
        query_choice("kind", "The purpose of the files, where the form has no field `kind`.", KINDS),
    ),
    body={"required": True, "content": {"multipart/form-data": {"schema": FORM}}},
    responses={201: json_response("The documents.", object_schema({"files": array_schema(UPLOADED)}))},
    errors=(400, 409, 413, 415, 429),
)
DOWNLOAD = Operation(
    id="downloadDocument",
    summary="The file of a document, unchanged",
    description="Its media type is that of the document.",
    tag="Files",
    access=BEARER_OR_TICKET,
    parameters=RANGE_HEADERS,
    responses=stored_file("*/*"),
    errors=(409, 416, 429),
)
ROUTES = [
    DocumentedRoute("/api/projects/{project_id}/files", upload, UPLOAD, methods=["POST"]),
    DocumentedRoute("/api/projects/{project_id}/documents/{document_id}/download", download, DOWNLOAD),
]
