"""The jobs of the GraphQL API."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from domain import jobs as domain
from domain.ids import Noun
from domain.job_events import JobEventKind
from domain.jobs import JobFilter, JobStatus, JobType, Runner
from domain.pages import Page
from domain.reading import Collection, Parent
from schema.execution import ONLY_ID
from schema.shared.connections import (
    Connection,
    OfType,
    WithStatus,
    connect,
    connection,
)
from schema.shared.context import Info
from schema.shared.enums import enumeration
from schema.shared.nodes import Id, Node, lookup, mirror, node_by_id, noun
from schema.shared.scalars import JSON
from schema.types.job_events import JobEvent, event_of

if TYPE_CHECKING:
    from schema.types.projects import Project

enumeration(
    JobType,
    "What a job does.",
    DOCUMENT_READ="Reads an upload.",
    DATASET_IMPORT="Makes the rows of an upload into items.",
    FINETUNE="Trains a fine-tune and exports its model.",
    DEPLOY="Loads the model of a deployment.",
)


enumeration(
    Runner,
    "Who does the work.",
    LOCAL="A worker of Luthier's.",
    EXTERNAL="A worker of the user's, which reports by webhook.",
)


ALL_KINDS = frozenset(JobEventKind)


@noun
@strawberry.type(description="Work that takes long: who does it, and how far it is.")
class Job(Node):
    """A job."""

    it: strawberry.Private[domain.Job]
    type: JobType = strawberry.field(description="What it does.")
    status: JobStatus = strawberry.field(description="Where it stands.")
    progress: float = strawberry.field(description="How far it is, 0.0 to 1.0.")
    message: str | None = strawberry.field(description="What it is doing, or did last.")
    result: JSON | None = strawberry.field(description="What it found, in figures.")
    error: str | None = strawberry.field(description="Why it failed, as a sentence.")
    attempt: int = strawberry.field(name="attempts", description="How often it was begun.")
    runner: Runner = strawberry.field(description="Who does it.")
    created_at: datetime = strawberry.field(description="When it was asked for.")
    started_at: datetime | None = strawberry.field(description="When it was first begun.")
    finished_at: datetime | None = strawberry.field(description="When it ended.")

    @classmethod
    def of(cls, it: domain.Job) -> "Job":
        """A job as the API shows it."""
        return mirror(cls, it, it=it)

    @strawberry.field(description="The project that it belongs to.")
    def project(self, info: Info) -> Annotated["Project", strawberry.lazy("schema.types.projects")]:
        """Loaded with the others."""
        return lookup(info, self.it.project_id, Noun.PROJECT)

    @strawberry.field(
        description="The Document, Dataset, Finetune or Deployment that it works on; null once that is deleted."
    )
    def subject(self, info: Info) -> Node | None:
        """Loaded with the others."""
        return node_by_id(info, self.it.subject_id)

    @connection("What happened in it, oldest first.", metadata=ONLY_ID)
    def events(
        self,
        info: Info,
        page: Page,
        kinds: Annotated[
            list[JobEventKind] | None,
            strawberry.argument(description="Only events of these kinds; all of them where it is absent."),
        ] = None,
    ) -> Connection[JobEvent]:
        """A page of them."""
        wanted = frozenset(kinds) if kinds is not None else ALL_KINDS
        return connect(
            info, Collection.JOB_EVENTS, page, parent=self.id, by=Parent.JOB, where=wanted, of=event_of
        )


@strawberry.type
class JobQueries:
    """The jobs of the root query."""

    @strawberry.field(description="A job of the viewer's.")
    def job(self, info: Info, id: Id) -> Job | None:
        """By id."""
        return lookup(info, id, Noun.JOB)

    @connection("The viewer's jobs over every project, newest first.")
    def jobs(
        self,
        info: Info,
        page: Page,
        type: OfType[JobType] = None,
        status: WithStatus[JobStatus] = None,
    ) -> Connection[Job]:
        """A page of them."""
        return connect(info, Collection.JOBS, page, where=JobFilter(type=type, status=status))
