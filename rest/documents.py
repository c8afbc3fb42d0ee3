"""Uploads, which go to storage while they arrive, and their downloads."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from domain import ids
from domain.documents import Document, DocumentKind, check_room, check_size, clean_filename, media_type
from domain.errors import Conflict, DomainError, Invalid, LimitExceeded, NotFound, Unavailable
from domain.ids import Noun
from domain.ports.storage import Changed, Storage
from domain.projects import require_active
from domain.rate_limits import CallKind
from domain.reading import require, require_in_project
from domain.services import Services
from domain.use_cases.documents import receive
from rest.endpoints import endpoint, services, viewer_id, viewer_or_ticket
from rest.errors import refusal
from rest.file_responses import ranged
from rest.multipart import Part, boundary_of, parts
from rest.rate_limits import limited

MAX_FILES = 100
FIELD_BYTES = 200
OVERHEAD = 1_048_576
"""What a body may be longer than its files: headers and boundaries."""


@dataclass(slots=True)
class _Upload:
    """One request's files as they come in; `present` is what the project holds already, in bytes."""

    services: Services
    project_id: str
    present: int
    kind: DocumentKind | None
    taken: list[tuple[str, Document]] = field(default_factory=list)
    """What each file was declared to be, and the document it becomes."""

    async def hit(self, part: Part) -> None:
        """Store a file, or read the kind; other fields mean nothing here."""
        if part.filename is not None:
            await self._store(part, part.filename)
        elif part.name == "kind":
            self.kind = kind_of(await part.text(FIELD_BYTES))

    async def _store(self, part: Part, filename: str) -> None:
        if part.name not in {"files", "file"}:
            raise Invalid(f"Send files as `files`, not as `{part.name}`.", reason="UNKNOWN_FIELD")
        if len(self.taken) == MAX_FILES:
            raise LimitExceeded(
                f"At most {MAX_FILES} files may be sent at once.", reason="TOO_MANY_FILES", field="files"
            )
        document = self._announced(part, filename)
        self.taken.append((part.content_type, document))
        media_type = document.mime_type or "application/octet-stream"
        size = await self.services.storage.write(document.s3_key, self._counted(part), media_type)
        check_size(size, self.services.limits)
        self.taken[-1] = part.content_type, replace(document, size_bytes=size)

    def _announced(self, part: Part, filename: str) -> Document:
        """The document of a file; its type is judged now when the kind is known, else at the end."""
        filename = clean_filename(filename)
        kind = self.kind
        return Document(
            id=ids.new(Noun.DOCUMENT),
            project_id=self.project_id,
            filename=filename,
            kind=kind or DocumentKind.RAW_DOC,
            mime_type=media_type(kind, filename, part.content_type) if kind else "",
            created_at=self.services.now(),
        )

    async def _counted(self, part: Part) -> AsyncIterator[bytes]:
        """The bytes of a file, refused as soon as they are too many."""
        size, limits = 0, self.services.limits
        stored = sum(document.size_bytes for _, document in self.taken)
        async for chunk in part.chunks:
            size += len(chunk)
            if size > limits.file_bytes:
                check_size(size, limits)
            check_room(size + stored, self.present, limits)
            yield chunk

    def documents(self) -> list[Document]:
        """What came in, each under its type; raises `Invalid` when that is nothing, or of no kind."""
        if not self.taken:
            raise Invalid("The body has no `files`.", reason="FILE_REQUIRED", field="files")
        if self.kind is None:
            raise kind_required()
        kind = self.kind
        return [
            replace(it, kind=kind, mime_type=media_type(kind, it.filename, declared))
            for declared, it in self.taken
        ]


def kind_of(given: str) -> DocumentKind:
    """A kind, whatever its case; raises `Invalid`."""
    try:
        return DocumentKind(given.upper())
    except ValueError:
        raise kind_required() from None


def kind_required() -> Invalid:
    """What is said when nobody says what the files are for."""
    names = " or ".join(it.lower() for it in DocumentKind)
    return Invalid(
        f"Send `kind`, which is {names}, as a field of the form or in the query.",
        reason="INVALID_KIND",
        field="kind",
    )


@endpoint
@limited(CallKind.UPLOADS)
async def upload(request: Request) -> Response:
    """Files as a multipart form; they are read by a worker afterwards."""
    viewer, project_id = viewer_id(request), request.path_params["project_id"]
    present = await _present(request, project_id, viewer)
    boundary = boundary_of(request)
    if boundary is None:
        return refusal(415, "UNSUPPORTED_MEDIA_TYPE", "Send the files as multipart/form-data.")
    ports = services(request)
    _check_length(request, present, ports)
    asked = request.query_params.get("kind")
    found = _Upload(ports, project_id, present, kind_of(asked) if asked else None)
    try:
        async for part in parts(request, boundary):
            await found.hit(part)
        async with ports.transactions.begin() as store:
            documents = await receive(
                store,
                project_id,
                found.documents(),
                limits=ports.limits,
                viewer_id=viewer,
                now=ports.now(),
            )
    except BaseException:
        await _discard(ports, [document for _, document in found.taken])
        raise
    return JSONResponse({"files": [_shown(it) for it in documents]}, status_code=201)


async def _present(request: Request, project_id: str, viewer: str) -> int:
    """What the project holds, before anything of the body is read; raises `NotFound`."""
    async with services(request).transactions.begin() as store:
        require_active(await require(store.projects, project_id, viewer_id=viewer))
        return await store.documents.total_bytes(project_id)


def _check_length(request: Request, present: int, ports: Services) -> None:
    """Refuse at once what says itself that it is too long."""
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit():
        check_room(max(0, int(announced) - OVERHEAD), present, ports.limits)


async def _discard(ports: Services, documents: list[Document]) -> None:
    """Leave nothing in storage of a request that failed; what cannot be deleted now is deleted later."""
    for document in documents:
        try:
            await ports.storage.delete(document.prefix)
        except DomainError:
            await _discard_later(ports, document)


async def _discard_later(ports: Services, document: Document) -> None:
    try:
        async with ports.transactions.begin() as store:
            await store.background_tasks.delete_files([document.prefix])
    except Unavailable:
        return  # neither answers: the request fails with that, and the bytes are under an id that nobody has


def _shown(document: Document) -> dict[str, Any]:
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
@limited(CallKind.READS)
async def document(request: Request) -> Response:
    """An upload as it came."""
    found = await _require(request)
    if not found.is_stored:
        raise Conflict("The document's upload is not complete.", reason="NOT_READY")
    storage = services(request).storage
    etag = found.etag or await _etag(storage, found)
    return await ranged(
        request,
        storage,
        found.s3_key,
        filename=found.filename,
        media_type=found.mime_type,
        size=found.size_bytes,
        etag=etag,
        stored_etag=etag,
    )


async def _etag(storage: Storage, found: Document) -> str:
    """What names the bytes of a document that was not read yet; raises `NotFound` or `Changed`."""
    stored = await storage.head(found.s3_key)
    if stored is None:
        raise NotFound("There is no such object in storage.", reason="OBJECT_NOT_FOUND")
    if stored.size != found.size_bytes:
        raise Changed
    return stored.etag


async def _require(request: Request) -> Document:
    """The document of the path; raises `NotFound`."""
    viewer, id = viewer_or_ticket(request), request.path_params["document_id"]
    async with services(request).transactions.begin() as store:
        return await require_in_project(
            store.documents, id, request.path_params["project_id"], viewer_id=viewer
        )


ROUTES = [
    Route("/api/projects/{project_id}/files", upload, methods=["POST"]),
    Route("/api/projects/{project_id}/documents/{document_id}/download", document, methods=["GET"]),
]
