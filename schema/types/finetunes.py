"""The fine-tunes of the GraphQL API."""

from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated

import strawberry

from domain import finetunes as domain
from domain.datasets import RunStatus
from domain.finetunes import FinetuneFilter, FinetuneMethod
from domain.ids import Noun
from domain.pages import Page
from domain.reading import Collection, Parent
from domain.rules import within
from resolvers import datasets as resolve_datasets
from resolvers import finetunes as resolve
from resolvers import jobs as resolve_jobs
from schema.execution import ONLY_ID
from schema.shared.connections import (
    Connection,
    WithStatus,
    connect,
    connection,
)
from schema.shared.context import Info
from schema.shared.nodes import OF, Id, Node, load, lookup, mirror, noun
from schema.shared.scalars import BigInt
from schema.types.training_runs import (
    Artifact,
    Hyperparameters,
    InferenceSample,
    ParityReport,
    TrainingMetrics,
    TrainingPoint,
    artifacts_of,
    path_of,
)

if TYPE_CHECKING:
    from schema.types.base_models import BaseModel
    from schema.types.datasets import Dataset
    from schema.types.deployments import Deployment
    from schema.types.items import DatasetItem
    from schema.types.jobs import Job
    from schema.types.projects import Project


MAX_LINES = 1000


@noun
@strawberry.type(
    description="A training run and its results. What it trains on is frozen when it is created."
)
class Finetune(Node):
    """A fine-tune."""

    it: strawberry.Private[domain.Finetune]
    version: int = strawberry.field(description="1, 2, 3 … within its project.")
    model_name: str = strawberry.field(
        description="{base model}_{project name in lower case, letters and digits, spaces to underscores}_v{version}."
    )
    name: str = strawberry.field(description="`outputName`, or else `modelName`.")
    base_model_name: str = strawberry.field(description="BaseModel.modelId of what was tuned.")
    status: RunStatus = strawberry.field(description="Where it stands.")
    error: str | None = strawberry.field(description="Why it failed, as a sentence.")
    method: FinetuneMethod | None = strawberry.field(description="How the weights are tuned.")
    hyperparameters: Hyperparameters | None = strawberry.field(description="Every knob of the run.")
    training_dataset_number_examples: int | None = strawberry.field(
        description="How many items were asked for; null means all."
    )
    training_dataset_select_random: bool = strawberry.field(
        description="Whether they were drawn by lot (always the same for one seed), or are the first."
    )
    seed: int | None = strawberry.field(description="What every random choice begins with.")
    trained_item_count: int = strawberry.field(description="How many items it is trained on.")
    trained_content_hash: str | None = strawberry.field(
        description="SHA-256 over the items that it is trained on: equal items, equal hash."
    )
    metrics: TrainingMetrics | None = strawberry.field(description="The newest point, and how far that is.")
    model_size_gb: float | None = strawberry.field(description="The model file, in GB of 10^9 bytes.")
    model_size_parameter: BigInt | None = strawberry.field(description="How many weights the model has.")
    model_dtype: str | None = strawberry.field(description="The number format of the trained weights.")
    model_quantization: str | None = strawberry.field(description="How the model file keeps them.")
    training_time_seconds: float | None = strawberry.field(description="How long the training took.")
    inference_samples: list[InferenceSample] = strawberry.field(
        description="A few prompts, answered by the base model and by the tuned one."
    )
    samples_held_out: bool | None = strawberry.field(
        description="Whether the samples were held out; false where they are of what was trained on."
    )
    warnings: list[str] = strawberry.field(description="What to know about the run, as sentences.")
    parity: ParityReport | None = strawberry.field(
        description="Whether the exported GGUF answers as the trained model did."
    )
    artifacts: list[Artifact] = strawberry.field(description="The files that it left, by name.")
    created_at: datetime = strawberry.field(description="When it was asked for.")
    started_at: datetime | None = strawberry.field(description="When a worker first began.")
    completed_at: datetime | None = strawberry.field(description="When it ended.")

    @classmethod
    def of(cls, it: domain.Finetune) -> "Finetune":
        """A fine-tune as the API shows it."""
        return mirror(
            cls,
            it,
            it=it,
            hyperparameters=mirror(Hyperparameters, it.hyperparameters),
            metrics=it.metrics and mirror(TrainingMetrics, it.metrics),
            inference_samples=[mirror(InferenceSample, sample) for sample in it.inference_samples],
            parity=it.parity and mirror(ParityReport, it.parity),
            artifacts=artifacts_of(it),
        )

    @strawberry.field(description="The project that it belongs to.")
    def project(self, info: Info) -> Annotated["Project", strawberry.lazy("schema.types.projects")]:
        """Loaded with the others."""
        return lookup(info, self.it.project_id, Noun.PROJECT)

    @strawberry.field(description="What was tuned.")
    def base_model(
        self, info: Info
    ) -> Annotated["BaseModel", strawberry.lazy("schema.types.base_models")] | None:
        """Loaded with the others."""
        return lookup(info, self.it.base_model_id, Noun.BASE_MODEL)

    @strawberry.field(description="The dataset that it was made from; seen here also when it is DELETED.")
    def dataset(self, info: Info) -> Annotated["Dataset", strawberry.lazy("schema.types.datasets")] | None:
        """Loaded with the others."""
        return load(info, resolve_datasets.referred, self.it.dataset_id).then(OF[Noun.DATASET])

    @connection(
        "What it is trained on, frozen: later edits of the dataset do not change it.",
        metadata=ONLY_ID,
    )
    def trained_items(
        self,
        info: Info,
        page: Page,
    ) -> Connection[Annotated["DatasetItem", strawberry.lazy("schema.types.items")]]:
        """A page of them, in their dataset's order."""
        return connect(info, Collection.FROZEN_ITEMS, page, parent=self.id, by=Parent.FINETUNE)

    @strawberry.field(description="How far it is, 0.0 to 1.0.", metadata=ONLY_ID)
    def progress(self, info: Info) -> float:
        """As its newest job says."""
        return load(info, resolve_jobs.latest, self.id).then(lambda job: job.progress, default=0.0)

    @strawberry.field(description="What it is doing; null once it has ended.", metadata=ONLY_ID)
    def current_step(self, info: Info) -> str | None:
        """As its newest job says."""
        return load(info, resolve_jobs.latest, self.id).then(
            lambda job: None if job.is_final else job.message
        )

    @strawberry.field(description="How long it has run, or ran, in seconds.")
    def elapsed_seconds(self, info: Info) -> float | None:
        """Until now, or until it ended."""
        return self.it.elapsed_seconds(info.context.now())

    @strawberry.field(description="The last lines of its log, oldest first; 1 to 1,000.", metadata=ONLY_ID)
    def recent_logs(
        self,
        info: Info,
        lines: Annotated[int, strawberry.argument(description="How many lines, 1 to 1,000.")] = 100,
    ) -> list[str]:
        """Of its newest job."""
        within(lines, "lines", 1, MAX_LINES)
        return load(info, resolve.recent_logs, self.id, lines).then(list, default=[])

    @connection("Its curve, oldest point first.", metadata=ONLY_ID)
    def history(
        self,
        info: Info,
        page: Page,
    ) -> Connection[TrainingPoint]:
        """A page of its points."""
        return connect(
            info,
            Collection.TRAINING_POINTS,
            page,
            parent=self.id,
            by=Parent.FINETUNE,
            of=partial(mirror, TrainingPoint),
        )

    @strawberry.field(description="The job that trains it.", metadata=ONLY_ID)
    def job(self, info: Info) -> Annotated["Job", strawberry.lazy("schema.types.jobs")] | None:
        """The newest one."""
        return load(info, resolve_jobs.latest, self.id).then(OF[Noun.JOB])

    @connection("Where it is deployed, newest first.", metadata=ONLY_ID)
    def deployments(
        self,
        info: Info,
        page: Page,
    ) -> Connection[Annotated["Deployment", strawberry.lazy("schema.types.deployments")]]:
        """A page of them."""
        return connect(info, Collection.DEPLOYMENTS, page, parent=self.id, by=Parent.FINETUNE)

    @strawberry.field(description="Where the model file is in object storage, once there is one.")
    def output_path(self, info: Info) -> str | None:
        """The address of the object."""
        return f"{info.context.services.storage.uri}/{self.it.gguf_key}" if self.it.gguf else None

    @strawberry.field(description="The path of the model file's download (REST), once there is one.")
    def download_url(self) -> str | None:
        """A path of this server."""
        return f"{path_of(self.it)}/download" if self.it.gguf else None


@strawberry.type
class FinetuneQueries:
    """The fine-tunes of the root query."""

    @strawberry.field(description="A fine-tune of the viewer's.")
    def finetune(self, info: Info, id: Id) -> Finetune | None:
        """By id."""
        return lookup(info, id, Noun.FINETUNE)

    @connection("The viewer's fine-tunes over every project, newest first.")
    def finetunes(
        self,
        info: Info,
        page: Page,
        status: WithStatus[RunStatus] = None,
    ) -> Connection[Finetune]:
        """A page of them."""
        where = FinetuneFilter(status=status)
        return connect(info, Collection.FINETUNES, page, where=where)
