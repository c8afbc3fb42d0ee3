"""Imports: how the rows of an upload become the items of a dataset."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from domain import datasets, documents, items, jobs, projects
from domain.datasets import Dataset
from domain.documents import Document, DocumentKind, DocumentStatus
from domain.errors import Conflict, DomainError, Invalid
from domain.items import Item, ItemOrigin, Source
from domain.jobs import Job, JobType
from domain.tabular import Table

if TYPE_CHECKING:
    from domain.store import Store


class ImportFormat(StrEnum):
    """How an upload is read."""

    CSV = "CSV"
    JSONL = "JSONL"


FORMATS = {
    "text/csv": ImportFormat.CSV,
    "text/plain": ImportFormat.CSV,
    "application/jsonl": ImportFormat.JSONL,
}
"""How an upload of each type is read, where nobody says."""


async def begin(
    store: "Store",
    dataset_id: str,
    document_id: str,
    format: ImportFormat | None,
    *,
    viewer_id: str,
    now: datetime,
) -> tuple[Dataset, Job]:
    """Have a document's rows made into items; waits for a document that is still being read."""
    dataset = await datasets.require_locked(store, dataset_id, viewer_id=viewer_id)
    projects.require_active(await projects.require(store, dataset.project_id, viewer_id=viewer_id))
    await datasets.require_idle(store, dataset)
    document = await store.documents.lock(document_id, viewer_id=viewer_id)
    if document is None or document.project_id != dataset.project_id:
        raise documents.missing(document_id)
    check_importable(document, format)
    job = jobs.new(
        JobType.DATASET_IMPORT,
        project_id=dataset.project_id,
        owner_id=viewer_id,
        subject_id=dataset.id,
        now=now,
        arguments={"document_id": document_id, "format": format},
    )
    await store.jobs.add(job)
    if document.status is DocumentStatus.READY:
        await store.jobs.enqueue(job)  # else `documents.follow` does, once the document is read
    return dataset, job


async def again(store: "Store", job_id: str, *, viewer_id: str) -> tuple[Dataset, Job]:
    """What an earlier call began: the dataset as it is now, and that call's job; raises `NotFound`."""
    job = await store.jobs.get(job_id, viewer_id=viewer_id)
    if job is None:
        raise jobs.missing(job_id)
    return await datasets.require(store, job.subject_id, viewer_id=viewer_id), job


def import_format(document: Document, asked: ImportFormat | None) -> ImportFormat:
    """How a document is read: as asked, or as its type says; raises `Invalid` when neither helps."""
    found = asked or FORMATS.get(document.mime_type)
    if found is None:
        raise Invalid(
            f"Rows cannot be imported from a document of the type {document.mime_type}; upload CSV or JSON Lines.",
            reason="UNSUPPORTED_FORMAT",
            field="documentId",
        )
    return found


def file_format(document: Document, asked: ImportFormat | None, path: Path) -> ImportFormat:
    """As `import_format`, with a look into the file where its type says nothing: a text may be JSON Lines."""
    found = import_format(document, asked)
    if asked is not None or document.mime_type != "text/plain":
        return found
    with path.open("rb") as file:
        return ImportFormat.JSONL if file.read(1_024).lstrip().startswith(b"{") else found


def check_importable(document: Document, format: ImportFormat | None) -> None:
    """Raise `Invalid` or `Conflict` unless rows can be read from a document now or soon."""
    if document.kind is not DocumentKind.DATASET_UPLOAD:
        raise Invalid(
            "Items are imported from a document of the kind DATASET_UPLOAD.",
            reason="WRONG_KIND",
            field="documentId",
        )
    if document.status is DocumentStatus.PENDING_UPLOAD:
        raise Conflict(
            "The document's upload is not complete; call completeUpload first.",
            reason="NOT_READY",
            field="documentId",
        )
    if document.status is DocumentStatus.FAILED:
        raise unreadable(document)
    import_format(document, format)


def unreadable(document: Document) -> DomainError:
    """What is said of a document whose reading failed."""
    return Conflict(
        f"The document could not be read: {document.error}", reason="DOCUMENT_FAILED", field="documentId"
    )


def columns(field_names: Sequence[str], headers: Sequence[str]) -> dict[str, str]:
    """The file's column for each field: of the same name, or else of the only one that differs in case.

    Raises `Invalid` when a field has no column; columns that are no field are left out.
    """
    found = {name: _column(name, headers) for name in field_names}
    lacking = [name for name, header in found.items() if header is None]
    if lacking:
        raise Invalid(
            f"The file has no column for {_listed(lacking)}; its header is {_listed(headers)}.",
            reason="MISSING_COLUMNS",
            context={"missing": lacking, "header": list(headers)},
        )
    return {name: header for name, header in found.items() if header is not None}


def _column(name: str, headers: Sequence[str]) -> str | None:
    exact = [it for it in headers if it.strip() == name]
    alike = [it for it in headers if it.strip().casefold() == name.casefold()]
    return exact[0] if exact else alike[0] if len(alike) == 1 else None


def _listed(names: Sequence[str], limit: int = 20) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"


@dataclass(slots=True)
class Import:
    """One import under way: its rows as items, and how many there were so far."""

    dataset: Dataset
    document: Document
    table: Table
    first_position: int
    now: datetime
    rows: int = 0

    def items(self) -> Iterator[Item]:
        """Every row as an item, keyed by document and line: read again, it is the same item."""
        header_of = columns(self.dataset.field_names, self.table.headers)
        source = Source(document_id=self.document.id, source_document=self.document.filename)
        for row in self.table.rows():
            values = {name: row.values.get(header, "") for name, header in header_of.items()}
            position = self.first_position + self.rows
            self.rows += 1
            yield items.make(
                self.dataset,
                values,
                key=f"{self.document.id}:{row.line}",
                position=position,
                origin=ItemOrigin.UPLOADED,
                now=self.now,
                source=source,
                problems=row.problems,
                line=row.line,
            )
