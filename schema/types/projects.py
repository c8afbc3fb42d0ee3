"""What the lists and the mutations of projects are given."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from domain import projects as domain
from domain.datasets import RunStatus
from domain.documents import DocumentFilter, DocumentKind
from domain.finetunes import FinetuneFilter
from domain.ids import Noun
from domain.jobs import JobFilter, JobStatus, JobType
from domain.pages import Page
from domain.projects import ProjectStage, ProjectStatus, TaskType
from domain.reading import Collection, Parent
from resolvers import projects as resolve
from schema.execution import ONLY_ID
from schema.shared.connections import (
    Connection,
    Matching,
    OfType,
    WithStatus,
    connect,
    connection,
)
from schema.shared.context import Info
from schema.shared.enums import enumeration
from schema.shared.inputs import given
from schema.shared.nodes import Id, Node, load, lookup, mirror, noun

if TYPE_CHECKING:
    from schema.types.accounts import User
    from schema.types.base_models import BaseModel
    from schema.types.datasets import Dataset
    from schema.types.deployments import Deployment
    from schema.types.documents import Document
    from schema.types.finetunes import Finetune
    from schema.types.jobs import Job


enumeration(
    TaskType,
    "What the tuned model is for.",
    INSTRUCTION="Follows instructions.",
    QA="Answers questions.",
    CHAT="Holds conversations.",
    SUMMARIZATION="Sums up texts.",
    CLASSIFICATION="Sorts texts into classes.",
    EXTRACTION="Takes facts out of texts.",
    VIDEO_CLASSIFICATION="Sorts videos into classes.",
    VIDEO_CAPTIONING="Describes videos in words.",
)


enumeration(
    ProjectStatus,
    "Whether a project is worked on.",
    ACTIVE="It is worked on.",
    ARCHIVED="It can be read, and nothing new begins in it.",
)


enumeration(
    ProjectStage,
    "How far a project has come.",
    DRAFT="It has nothing yet that is ready.",
    DOCUMENTS_READY="It has a document that was read.",
    GENERATING="A dataset is being filled.",
    READY_TO_TRAIN="It has a dataset that is DONE.",
    TRAINING="A fine-tune is planned or under way.",
    TRAINED="It has a fine-tune that is DONE.",
    DEPLOYED="It has a deployment that answers.",
    FAILED="Its newest job failed.",
)


@strawberry.input(description="Which projects a list shows.")
class ProjectFilter:
    """Which projects a list shows."""

    status: ProjectStatus | None = strawberry.field(default=None, description="Only those with this status.")
    stage: ProjectStage | None = strawberry.field(default=None, description="Only those at this stage.")
    name_contains: str | None = strawberry.field(
        default=None, description="Only those with this text in the name, whatever its case."
    )


@strawberry.type(description="A project's settings.")
class ProjectConfig:
    """A project's settings."""

    num_examples_target: int = strawberry.field(description="How many examples a generated dataset aims at.")
    max_seq_length: int = strawberry.field(description="The most tokens that one item may have.")
    train_eval_split: float = strawberry.field(
        description="The training share, in (0, 1]; 1 holds nothing out. Fewer than 50 valid items hold nothing out."
    )


@strawberry.type(description="How much a project holds.")
class ProjectStats:
    """How much a project holds."""

    document_count: int = strawberry.field(description="Uploads.")
    chunk_count: int = strawberry.field(description="Chunks of its documents.")
    item_count: int = strawberry.field(description="Active items of all its datasets.")
    dataset_count: int = strawberry.field(description="Training datasets.")
    finetune_count: int = strawberry.field(description="Fine-tunes.")
    deployment_count: int = strawberry.field(description="Deployments.")
    last_job_status: JobStatus | None = strawberry.field(description="Where its newest job stands.")


@noun
@strawberry.type(description="What a person works on: documents, datasets, fine-tunes and deployments.")
class Project(Node):
    """A project."""

    it: strawberry.Private[domain.Project]
    name: str = strawberry.field(description="Its name.")
    description: str | None = strawberry.field(description="What it is about.")
    task_type: TaskType = strawberry.field(description="What the tuned model is for.")
    status: ProjectStatus = strawberry.field(description="Whether it is worked on.")
    config: ProjectConfig = strawberry.field(description="Its settings.")
    created_at: datetime = strawberry.field(description="When it was made.")
    updated_at: datetime = strawberry.field(description="When it was changed last.")

    @classmethod
    def of(cls, it: domain.Project) -> "Project":
        """A project as the API shows it."""
        return mirror(cls, it, it=it, config=mirror(ProjectConfig, it))

    @strawberry.field(description="Whose it is.")
    def owner(self, info: Info) -> Annotated["User", strawberry.lazy("schema.types.accounts")]:
        """Loaded with the other owners."""
        return lookup(info, self.it.owner_id, Noun.USER)

    @strawberry.field(
        description="How far the project has come; derived from what it holds, never stored.",
        metadata=ONLY_ID,
    )
    def stage(self, info: Info) -> ProjectStage:
        """Derived with the other projects'."""
        return load(info, resolve.stages, self.id)

    @strawberry.field(description="How much it holds.", metadata=ONLY_ID)
    def stats(self, info: Info) -> ProjectStats:
        """Counted with the other projects'."""
        return load(info, resolve.stats, self.id).then(lambda it: mirror(ProjectStats, it))

    @strawberry.field(description="The base model that was chosen.")
    def base_model(
        self, info: Info
    ) -> Annotated["BaseModel", strawberry.lazy("schema.types.base_models")] | None:
        """Loaded with the others."""
        return lookup(info, self.it.base_model_id, Noun.BASE_MODEL)

    @strawberry.field(description="The chosen dataset; null at creation.")
    def training_dataset(
        self, info: Info
    ) -> Annotated["Dataset", strawberry.lazy("schema.types.datasets")] | None:
        """Loaded with the others."""
        return lookup(info, self.it.training_dataset_id, Noun.DATASET)

    @strawberry.field(description="The chosen fine-tune; null at creation.")
    def finetune(self, info: Info) -> Annotated["Finetune", strawberry.lazy("schema.types.finetunes")] | None:
        """Loaded with the others."""
        return lookup(info, self.it.finetune_id, Noun.FINETUNE)

    @connection("Its uploads, newest first.", metadata=ONLY_ID)
    def documents(
        self,
        info: Info,
        page: Page,
        kind: Annotated[
            DocumentKind | None, strawberry.argument(description="Only those of this kind.")
        ] = None,
    ) -> Connection[Annotated["Document", strawberry.lazy("schema.types.documents")]]:
        """A page of them."""
        where = DocumentFilter(kind=kind)
        return connect(info, Collection.DOCUMENTS, page, parent=self.id, by=Parent.PROJECT, where=where)

    @connection("Its training datasets, newest first.", metadata=ONLY_ID)
    def datasets(
        self,
        info: Info,
        page: Page,
    ) -> Connection[Annotated["Dataset", strawberry.lazy("schema.types.datasets")]]:
        """A page of them."""
        return connect(info, Collection.DATASETS, page, parent=self.id, by=Parent.PROJECT)

    @connection("Its fine-tunes, newest first.", metadata=ONLY_ID)
    def finetunes(
        self,
        info: Info,
        page: Page,
        status: WithStatus[RunStatus] = None,
    ) -> Connection[Annotated["Finetune", strawberry.lazy("schema.types.finetunes")]]:
        """A page of them."""
        where = FinetuneFilter(status=status)
        return connect(info, Collection.FINETUNES, page, parent=self.id, by=Parent.PROJECT, where=where)

    @connection("Its deployments, newest first.", metadata=ONLY_ID)
    def deployments(
        self,
        info: Info,
        page: Page,
    ) -> Connection[Annotated["Deployment", strawberry.lazy("schema.types.deployments")]]:
        """A page of them."""
        return connect(info, Collection.DEPLOYMENTS, page, parent=self.id, by=Parent.PROJECT)

    @connection("Its jobs, newest first.", metadata=ONLY_ID)
    def jobs(
        self,
        info: Info,
        page: Page,
        type: OfType[JobType] = None,
        status: WithStatus[JobStatus] = None,
    ) -> Connection[Annotated["Job", strawberry.lazy("schema.types.jobs")]]:
        """A page of them."""
        where = JobFilter(type=type, status=status)
        return connect(info, Collection.JOBS, page, parent=self.id, by=Parent.PROJECT, where=where)


@strawberry.type
class ProjectQueries:
    """The projects of the root query."""

    @strawberry.field(description="A project of the viewer's.")
    def project(self, info: Info, id: Id) -> Project | None:
        """By id."""
        return lookup(info, id, Noun.PROJECT)

    @connection("The viewer's projects, newest first.")
    def projects(
        self,
        info: Info,
        page: Page,
        filter: Matching[ProjectFilter] = None,
    ) -> Connection[Project]:
        """A page of them."""
        where = domain.ProjectFilter(**given(filter)) if filter else None
        return connect(info, Collection.PROJECTS, page, where=where)
