"""How every noun is read: by id, and in pages of the lists of many parents."""

from enum import Enum, auto
from typing import Any, Protocol, TypeVar

from domain.errors import NotFound
from domain.ids import Noun
from domain.pages import Page, PageSlice

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")

FIELDS = {
    Noun.PROJECT: "projectId",
    Noun.DOCUMENT: "documentId",
    Noun.DATASET: "datasetId",
    Noun.ITEM: "itemId",
}
"""The field of an input that names an object of these nouns; elsewhere it is `id`."""


class Parent(Enum):
    """Whose list is read, where it is not the viewer's own."""

    PROJECT = auto()
    DATASET = auto()
    FINETUNE = auto()
    JOB = auto()
    DEPLOYMENT = auto()


class Collection(Enum):
    """The lists that can be read in pages."""

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
        """What its rows are, where they have an identity."""
        if self is Collection.FROZEN_ITEMS:
            return Noun.ITEM
        if self is Collection.IMPORTED_DOCUMENTS:
            return Noun.DOCUMENT
        return self.value if isinstance(self.value, Noun) else None


class Pages(Protocol):
    """Lists that are read in pages. Rows that `viewer_id` may not see are as absent as missing ones."""

    async def pages(
        self,
        parents: list[str],
        page: Page,
        *,
        parent_kind: Parent | None = None,
        where: Any = None,
        projection: frozenset[str] | None = None,
        viewer_id: str,
    ) -> dict[str, PageSlice[Any]]:
        """The same page of each parent's list in one statement; without `parent_kind` the parent is the viewer.

        With a projection a slice may have columns with at least these attributes in the place of rows.
        """
        ...

    async def totals(
        self, parents: list[str], *, parent_kind: Parent | None = None, where: Any = None, viewer_id: str
    ) -> dict[str, int]:
        """How many rows each parent's list has, at most `COUNT_CEILING`."""
        ...


class ById(Protocol):
    """Rows that are read by their ids."""

    async def many(self, ids: list[str], *, viewer_id: str) -> dict[str, Any]:
        """Rows by id; the missing ones are absent."""
        ...


class Reads(Pages, ById, Protocol[T_co]):
    """How any noun is read."""

    @property
    def noun(self) -> Noun: ...

    async def get(self, id: str, *, viewer_id: str) -> T_co | None:
        """One row, None when there is none."""
        ...


class Locks(Reads[T_co], Protocol[T_co]):
    """A noun whose rows can be held."""

    async def lock(self, id: str, *, viewer_id: str) -> T_co | None:
        """One row, which nobody else may change or delete until the transaction ends."""
        ...


class OfProject(Protocol):
    """What belongs to a project."""

    @property
    def project_id(self) -> str: ...


P = TypeVar("P", bound=OfProject)


def missing(noun: Noun, id: str, *, field: str | None = None) -> NotFound:
    """The refusal of an id that names nothing, or another user's object; an empty id is not repeated.

    `field` is where the input names it.
    """
    sentence = f"There is no {noun.words} {id}." if id.strip() else f"There is no {noun.words} with this id."
    return NotFound(sentence, reason=f"{noun.name}_NOT_FOUND", field=field or FIELDS.get(noun, "id"))


async def require(rows: Reads[T], id: str, *, viewer_id: str, field: str | None = None) -> T:
    """The viewer's object; raises `NotFound`."""
    found = await rows.get(id, viewer_id=viewer_id)
    if found is None:
        raise missing(rows.noun, id, field=field)
    return found


async def require_locked(rows: Locks[T], id: str, *, viewer_id: str, field: str | None = None) -> T:
    """The viewer's object, held until the transaction ends; raises `NotFound`."""
    found = await rows.lock(id, viewer_id=viewer_id)
    if found is None:
        raise missing(rows.noun, id, field=field)
    return found


async def require_in_project(
    rows: Reads[P], id: str, project_id: str, *, viewer_id: str, field: str | None = None
) -> P:
    """The viewer's object of this project; raises `NotFound`, also where it is another project's."""
    found = await require(rows, id, viewer_id=viewer_id, field=field)
    if found.project_id != project_id:
        raise missing(rows.noun, id, field=field)
    return found
