"""The projects of the GraphQL API."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from domain import projects as domain
from domain.documents import DocumentFilter, DocumentKind
from domain.finetunes import FinetuneFilter
from domain.ids import Noun
from domain.jobs import JobFilter, JobStatus
from domain.pages import PageRequest
from domain.projects import ProjectStage, ProjectStatus, TaskType
from domain.reading import Collection, Parent
from resolvers import projects as resolve
from schema.execution import ONLY_ID
from schema.shared.connections import Connection, connection, load_connection
from schema.shared.context import Info
from schema.shared.enums import register_enum
from schema.shared.inputs import given_fields
from schema.shared.nodes import Id, Node, convert, converted_from, load, load_node, node
from schema.types.finetunes import WithFinetuneStatus
from schema.types.jobs import OfJobType, WithJobStatus

if TYPE_CHECKING:
    from schema.types.accounts import User
    from schema.types.base_models import BaseModel
    from schema.types.datasets import Dataset
    from schema.types.deployments import Deployment
    from schema.types.documents import Document
    from schema.types.finetunes import Finetune
    from schema.types.jobs import Job


register_enum(
    TaskType,
    "Task that the fine-tuned model is meant for; for information, without effect on training.",
    INSTRUCTION="Instruction following.",
    QA="Question answering.",
    CHAT="Conversation.",
    SUMMARIZATION="Text summarization.",
    CLASSIFICATION="Text classification.",
    EXTRACTION="Information extraction from text.",
    VIDEO_CLASSIFICATION="Video classification.",
    VIDEO_CAPTIONING="Video captioning.",
)


register_enum(
    ProjectStatus,
    "Whether a project accepts new work.",
    ACTIVE="Documents, datasets, fine-tunes and deployments can be created.",
    ARCHIVED="Existing objects can be read; uploads, imports and new "
    "datasets, fine-tunes and deployments are refused.",
)


register_enum(
    ProjectStage,
    "Stage of a project. The first that applies: `TRAINING`, `GENERATING`, `FAILED`, "
    "`DEPLOYED`, `TRAINED`, `READY_TO_TRAIN`, `DOCUMENTS_READY`, `DRAFT`.",
    DRAFT="None of the other stages applies.",
    DOCUMENTS_READY="The project has a document that is `READY`.",
    GENERATING="Items are being imported or generated: a dataset is `RUNNING`.",
    READY_TO_TRAIN="The project has a dataset that is `DONE`.",
    TRAINING="A training is queued or running: a fine-tune is `PLANNING` or `RUNNING`.",
    TRAINED="The project has a fine-tune that is `DONE`.",
    DEPLOYED="The project has a deployment that is `READY`.",
    FAILED="The newest job of the project failed.",
)


@strawberry.input(description="Conditions on projects: all that are given must hold, null is no condition.")
class ProjectFilter:
    status: ProjectStatus | None = strawberry.field(
        default=None, description="Only projects with this status."
    )
    stage: ProjectStage | None = strawberry.field(default=None, description="Only projects at this stage.")
    name_contains: str | None = strawberry.field(
        default=None,
        description="Only projects with this text in their name, at most 65,536 characters, not case-sensitive.",
    )


@converted_from(domain.Project)
@strawberry.type(description="Settings of a project.")
class ProjectConfig:
    num_examples_target: int = strawberry.field(
        description="Number of items that a generated dataset should have, 1 to "
        "1,000,000; for information. Default 2,000."
    )
    max_seq_length: int = strawberry.field(
        description="Maximum estimated tokens of an item in new datasets, above which it is invalid; also "
        "the default `maxSeqLength` of fine-tunes. 16 to 1,048,576. Default 2,048."
    )
    train_eval_split: float = strawberry.field(
        description="Fraction of the items of new datasets used for training, above 0, at most 1; the rest is held "
        "out for evaluation. At 1, and below 50 valid items, nothing is held out. Default 0.9."
    )


@converted_from(domain.ProjectStats)
@strawberry.type(description="Number of objects in a project.")
class ProjectStats:
    document_count: int = strawberry.field(description="Number of documents.")
    chunk_count: int = strawberry.field(
        description="Number of chunks of the documents; documents are not chunked yet, always 0."
    )
    item_count: int = strawberry.field(description="Number of active items over all datasets.")
    dataset_count: int = strawberry.field(description="Number of datasets.")
    finetune_count: int = strawberry.field(description="Number of fine-tunes.")
    deployment_count: int = strawberry.field(description="Number of deployments.")
    last_job_status: JobStatus | None = strawberry.field(
        description="Status of the newest job; null when there is no job."
    )


@node(Noun.PROJECT, domain.Project, "config")
@strawberry.type(description="A project: the documents, datasets, fine-tunes and deployments for one task.")
class Project(Node):
    record: strawberry.Private[domain.Project]
    name: str = strawberry.field(description="Display name, also part of the model name of new fine-tunes.")
    description: str | None = strawberry.field(description="Free-text description; null when there is none.")
    task_type: TaskType = strawberry.field(description="Task that the fine-tuned model is meant for.")
    status: ProjectStatus = strawberry.field(description="Whether the project accepts new work.")
    config: ProjectConfig = strawberry.field(description="Settings of the project.")
    created_at: datetime = strawberry.field(description="Creation time.")
    updated_at: datetime = strawberry.field(description="Time of the last change.")

    @classmethod
    def from_domain(cls, record: domain.Project) -> "Project":
        return convert(cls, record, record=record, config=convert(ProjectConfig, record))

    @strawberry.field(description="The user that the project belongs to.")
    def owner(self, info: Info) -> Annotated["User", strawberry.lazy("schema.types.accounts")]:
        return load_node(info, self.record.owner_id, Noun.USER)

    @strawberry.field(description="Stage of the project, derived from its objects.", metadata=ONLY_ID)
    def stage(self, info: Info) -> ProjectStage:
        return load(info, resolve.stages, self.id)

    @strawberry.field(description="Number of objects in the project.", metadata=ONLY_ID)
    def stats(self, info: Info) -> ProjectStats:
        return load(info, resolve.stats, self.id).then(lambda stats: convert(ProjectStats, stats))

    @strawberry.field(
        description="The base model selected for the project, for information; null when none is selected."
    )
    def base_model(
        self, info: Info
    ) -> Annotated["BaseModel", strawberry.lazy("schema.types.base_models")] | None:
        return load_node(info, self.record.base_model_id, Noun.BASE_MODEL)

    @strawberry.field(
        description="The dataset selected for the project, for information; null when none is selected."
    )
    def training_dataset(
        self, info: Info
    ) -> Annotated["Dataset", strawberry.lazy("schema.types.datasets")] | None:
        return load_node(info, self.record.training_dataset_id, Noun.DATASET)

    @strawberry.field(
        description="The fine-tune selected for the project, for information; null when none is selected."
    )
    def finetune(self, info: Info) -> Annotated["Finetune", strawberry.lazy("schema.types.finetunes")] | None:
        return load_node(info, self.record.finetune_id, Noun.FINETUNE)

    @connection("Documents of the project, newest first.", metadata=ONLY_ID)
    def documents(
        self,
        info: Info,
        page: PageRequest,
        kind: Annotated[
            DocumentKind | None,
            strawberry.argument(description="Only documents of this kind; any kind when absent or null."),
        ] = None,
    ) -> Connection[Annotated["Document", strawberry.lazy("schema.types.documents")]]:
        where = DocumentFilter(kind=kind)
        return load_connection(
            info, Collection.DOCUMENTS, page, parent=self.id, by=Parent.PROJECT, where=where
        )

    @connection("Datasets of the project, newest first.", metadata=ONLY_ID)
    def datasets(
        self,
        info: Info,
        page: PageRequest,
    ) -> Connection[Annotated["Dataset", strawberry.lazy("schema.types.datasets")]]:
        return load_connection(info, Collection.DATASETS, page, parent=self.id, by=Parent.PROJECT)

    @connection("Fine-tunes of the project, newest first.", metadata=ONLY_ID)
    def finetunes(
        self,
        info: Info,
        page: PageRequest,
        status: WithFinetuneStatus = None,
    ) -> Connection[Annotated["Finetune", strawberry.lazy("schema.types.finetunes")]]:
        where = FinetuneFilter(status=status)
        return load_connection(
            info, Collection.FINETUNES, page, parent=self.id, by=Parent.PROJECT, where=where
        )

    @connection("Deployments of the project, newest first.", metadata=ONLY_ID)
    def deployments(
        self,
        info: Info,
        page: PageRequest,
    ) -> Connection[Annotated["Deployment", strawberry.lazy("schema.types.deployments")]]:
        return load_connection(info, Collection.DEPLOYMENTS, page, parent=self.id, by=Parent.PROJECT)

    @connection("Jobs of the project, newest first.", metadata=ONLY_ID)
    def jobs(
        self,
        info: Info,
        page: PageRequest,
        type: OfJobType = None,
        status: WithJobStatus = None,
    ) -> Connection[Annotated["Job", strawberry.lazy("schema.types.jobs")]]:
        where = JobFilter(type=type, status=status)
        return load_connection(info, Collection.JOBS, page, parent=self.id, by=Parent.PROJECT, where=where)


@strawberry.type
class ProjectQueries:
    @strawberry.field(description="A project of the viewer by its id.")
    def project(self, info: Info, id: Id) -> Project | None:
        return load_node(info, id, Noun.PROJECT)

    @connection("All projects of the viewer, newest first.")
    def projects(
        self,
        info: Info,
        page: PageRequest,
        filter: Annotated[
            ProjectFilter | None,
            strawberry.argument(
                description="Only projects that match these conditions; all when absent or null."
            ),
        ] = None,
    ) -> Connection[Project]:
        where = domain.ProjectFilter(**given_fields(filter)) if filter else None
        return load_connection(info, Collection.PROJECTS, page, where=where)
