"""The jobs of the GraphQL API."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from domain import jobs as domain
from domain.ids import Noun
from domain.job_events import JobEventKind
from domain.jobs import JobFilter, JobStatus, JobType, Runner
from domain.pages import PageRequest
from domain.reading import Collection, Parent
from schema.execution import ONLY_ID
from schema.shared.connections import Connection, connection, load_connection
from schema.shared.context import Info
from schema.shared.enums import register_enum
from schema.shared.nodes import Id, Node, convert, load_any_node, load_node, node
from schema.shared.scalars import JSON
from schema.types.job_events import JobEvent, event_of

if TYPE_CHECKING:
    from schema.types.projects import Project

register_enum(
    JobType,
    "Kind of work that a job does.",
    DOCUMENT_READ="Reads an uploaded document: its SHA-256 and the preview of a table.",
    DATASET_IMPORT="Imports the rows of a document as items of a dataset.",
    FINETUNE="Trains a fine-tune and exports its model.",
    DEPLOY="Loads the model of a deployment.",
)


register_enum(
    Runner,
    "Where a job runs.",
    LOCAL="On a worker of this installation.",
    EXTERNAL="On a worker of the user's own, which reports to the REST webhook.",
)


OfJobType = Annotated[
    JobType | None,
    strawberry.argument(description="Only jobs of this type; any type when absent or null."),
]
WithJobStatus = Annotated[
    JobStatus | None,
    strawberry.argument(description="Only jobs with this status; any status when absent or null."),
]
ALL_KINDS = frozenset(JobEventKind)


@node(Noun.JOB, domain.Job)
@strawberry.type(description="A background job.")
class Job(Node):
    record: strawberry.Private[domain.Job]
    type: JobType = strawberry.field(description="Kind of work that the job does.")
    status: JobStatus = strawberry.field(description="Status of the job.")
    progress: float = strawberry.field(description="Progress from 0.0 to 1.0.")
    message: str | None = strawberry.field(
        description="Progress message of the latest report; null before the first."
    )
    result: JSON | None = strawberry.field(
        description="Result in figures, an object whose fields depend on "
        "`type`; null unless the job succeeded."
    )
    error: str | None = strawberry.field(description="Why the job failed, in one sentence; null otherwise.")
    attempt: int = strawberry.field(
        name="attempts", description="Number of times that a worker has started the job."
    )
    runner: Runner = strawberry.field(description="Where the job runs.")
    created_at: datetime = strawberry.field(description="Creation time.")
    started_at: datetime | None = strawberry.field(
        description="Time when a worker first started the job; null before."
    )
    finished_at: datetime | None = strawberry.field(description="Time when the job ended; null before.")

    @classmethod
    def from_domain(cls, record: domain.Job) -> "Job":
        return convert(cls, record, record=record)

    @strawberry.field(description="The project that the job belongs to.")
    def project(self, info: Info) -> Annotated["Project", strawberry.lazy("schema.types.projects")]:
        return load_node(info, self.record.project_id, Noun.PROJECT)

    @strawberry.field(
        description="The document, dataset, fine-tune or deployment that the "
        "job works on; null after that is deleted."
    )
    def subject(self, info: Info) -> Node | None:
        return load_any_node(info, self.record.subject_id)

    @connection("Events of the job, oldest first.", metadata=ONLY_ID)
    def events(
        self,
        info: Info,
        page: PageRequest,
        kinds: Annotated[
            list[JobEventKind] | None,
            strawberry.argument(description="Only events of these kinds; all when absent or null."),
        ] = None,
    ) -> Connection[JobEvent]:
        selected_kinds = frozenset(kinds) if kinds is not None else ALL_KINDS
        return load_connection(
            info,
            Collection.JOB_EVENTS,
            page,
            parent=self.id,
            by=Parent.JOB,
            where=selected_kinds,
            convert_row=event_of,
        )


@strawberry.type
class JobQueries:
    @strawberry.field(description="A job of the viewer by its id.")
    def job(self, info: Info, id: Id) -> Job | None:
        return load_node(info, id, Noun.JOB)

    @connection("All jobs of the viewer over every project, newest first.")
    def jobs(
        self,
        info: Info,
        page: PageRequest,
        type: OfJobType = None,
        status: WithJobStatus = None,
    ) -> Connection[Job]:
        return load_connection(info, Collection.JOBS, page, where=JobFilter(type=type, status=status))
