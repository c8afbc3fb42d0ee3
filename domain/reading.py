"""Reads of every noun: by id, and in pages of the lists of many parents."""

from enum import Enum, auto
from typing import Any, Protocol, TypeVar

from domain.errors import NotFound
from domain.ids import Noun
from domain.pages import PageRequest, PageResult

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")

ID_FIELDS = {
    Noun.PROJECT: "projectId",
    Noun.DOCUMENT: "documentId",
    Noun.DATASET: "datasetId",
    Noun.ITEM: "itemId",
}
"""The input field of an id of these nouns; for other nouns it is `id`."""


class Parent(Enum):
    """The noun that a list belongs to, where it is not the viewer's own."""

    PROJECT = auto()
    DATASET = auto()
    FINETUNE = auto()
    JOB = auto()
    DEPLOYMENT = auto()


class Collection(Enum):
    """Lists that are read in pages."""

    API_KEYS = Noun.API_KEY
    BASE_MODELS = Noun.BASE_MODEL
    DATASETS = Noun.DATASET
    DEPLOYMENTS = Noun.DEPLOYMENT
    DOCUMENTS = Noun.DOCUMENT
    FINETUNES = Noun.FINETUNE
    ITEMS = Noun.ITEM
    JOBS = Noun.JOB
    PROJECTS = Noun.PROJECT
    REQUEST_LOGS = Noun.REQUEST_LOG
    FROZEN_ITEMS = "the items that fine-tunes were trained on"
    IMPORTED_DOCUMENTS = "the documents that datasets were imported from"
    JOB_EVENTS = "the events of jobs"
    TRAINING_POINTS = "the training curves of fine-tunes"

    @property
    def noun(self) -> Noun | None:
        """The noun of its rows; None where they have no ids."""
        if self is Collection.FROZEN_ITEMS:
            return Noun.ITEM
        if self is Collection.IMPORTED_DOCUMENTS:
            return Noun.DOCUMENT
        return self.value if isinstance(self.value, Noun) else None


class PagedReads(Protocol):
    """Reads lists in pages. Rows that the viewer may not see are left out."""

    async def pages(
        self,
        parents: list[str],
        page: PageRequest,
        *,
        parent_kind: Parent | None = None,
        where: Any = None,
        projection: frozenset[str] | None = None,
        viewer_id: str,
    ) -> dict[str, PageResult[Any]]:
        """The page at the same position in each parent's list, in one statement; without `parent_kind` the parent is the viewer.

        With a projection, a result may have `partial_rows` with at least these attributes in place of `rows`.
        """
        ...

    async def totals(
        self, parents: list[str], *, parent_kind: Parent | None = None, where: Any = None, viewer_id: str
    ) -> dict[str, int]:
        """The number of rows of each parent's list, at most `COUNT_CEILING`."""
        ...


class KeyedReads(Protocol):
    """Reads rows by their ids."""

    async def many(self, ids: list[str], *, viewer_id: str) -> dict[str, Any]:
        """Rows by id, without those that are missing or that the viewer may not see."""
        ...


class Reads(PagedReads, KeyedReads, Protocol[T_co]):
    """Reads the rows of a noun."""

    @property
    def noun(self) -> Noun: ...

    async def get(self, id: str, *, viewer_id: str) -> T_co | None:
        """A row; None when it is missing or the viewer may not see it."""
        ...


class LockingReads(Reads[T_co], Protocol[T_co]):
    """Reads and locks the rows of a noun."""

    async def lock(self, id: str, *, viewer_id: str) -> T_co | None:
        """A row, locked until the transaction ends (`for update`); None when it is missing."""
        ...


class HasProject(Protocol):
    """An object of a project."""

    @property
    def id(self) -> str: ...
    @property
    def project_id(self) -> str: ...


P = TypeVar("P", bound=HasProject)


def not_found_error(noun: Noun, id: str, *, field: str | None = None, reason: str | None = None) -> NotFound:
    """The error for an id of a missing object, or of one that the viewer may not see.

    `field` is the input field of the id; `reason` is `<NOUN>_NOT_FOUND` unless given.
    """
    sentence = f"There is no {noun.words} {id}." if id.strip() else f"There is no {noun.words} with this id."
    reason = reason or f"{noun.name}_NOT_FOUND"
    return NotFound(sentence, reason=reason, field=field or ID_FIELDS.get(noun, "id"))


async def require(
    rows: Reads[T], id: str, *, viewer_id: str, field: str | None = None, reason: str | None = None
) -> T:
    """The viewer's object; raises `NotFound`."""
    found = await rows.get(id, viewer_id=viewer_id)
    if found is None:
        raise not_found_error(rows.noun, id, field=field, reason=reason)
    return found


async def require_locked(rows: LockingReads[T], id: str, *, viewer_id: str, field: str | None = None) -> T:
    """The viewer's object, locked until the transaction ends; raises `NotFound`."""
    found = await rows.lock(id, viewer_id=viewer_id)
    if found is None:
        raise not_found_error(rows.noun, id, field=field)
    return found


async def require_in_project(
    rows: Reads[P],
    id: str,
    project_id: str,
    *,
    viewer_id: str,
    field: str | None = None,
    reason: str | None = None,
) -> P:
    """The viewer's object of a project; raises `NotFound`, also for an object of another project."""
    found = await require(rows, id, viewer_id=viewer_id, field=field, reason=reason)
    return _of_project(found, project_id, rows.noun, field=field, reason=reason)


async def require_locked_in_project(
    rows: LockingReads[P], id: str, project_id: str, *, viewer_id: str, field: str | None = None
) -> P:
    """The viewer's object of a project, locked until the transaction ends; raises `NotFound` as `require_in_project` does."""
    found = await require_locked(rows, id, viewer_id=viewer_id, field=field)
    return _of_project(found, project_id, rows.noun, field=field)


def _of_project(found: P, project_id: str, noun: Noun, *, field: str | None, reason: str | None = None) -> P:
    if found.project_id != project_id:
        raise not_found_error(noun, found.id, field=field, reason=reason)
    return found
