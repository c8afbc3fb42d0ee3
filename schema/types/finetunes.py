"""The fine-tunes of the GraphQL API."""

from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated

import strawberry

from domain import finetunes as domain
from domain.datasets import RunStatus
from domain.finetunes import FinetuneFilter
from domain.hyperparameters import FinetuneMethod, TrainingObjective
from domain.ids import Noun
from domain.pages import PageRequest
from domain.reading import Collection, Parent
from domain.rules import check_range
from resolvers import datasets as resolve_datasets
from resolvers import finetunes as resolve
from resolvers import jobs as resolve_jobs
from schema.execution import ONLY_ID
from schema.shared.connections import Connection, connection, load_connection
from schema.shared.context import Info
from schema.shared.nodes import NODE_TYPES, Id, Node, convert, load, load_node, node
from schema.shared.scalars import BigInt
from schema.types.finetune_runs import (
    Artifact,
    Hyperparameters,
    InferenceSample,
    ParityReport,
    TrainingMetrics,
    artifacts_of,
    path_of,
)
from schema.types.training_points import TrainingPoint

if TYPE_CHECKING:
    from schema.types.base_models import BaseModel
    from schema.types.datasets import Dataset
    from schema.types.deployments import Deployment
    from schema.types.items import DatasetItem
    from schema.types.jobs import Job
    from schema.types.projects import Project


MAX_LINES = 1000
WithFinetuneStatus = Annotated[
    RunStatus | None,
    strawberry.argument(description="Only fine-tunes with this status; any status when absent or null."),
]


@node(Noun.FINETUNE, domain.Finetune)
@strawberry.type(
    description="A fine-tune: a training run and the model that it produces. "
    "Its training items are frozen at creation."
)
class Finetune(Node):
    record: strawberry.Private[domain.Finetune]
    version: int = strawberry.field(
        description="Version number within the project: 1, 2, 3, …; never reused."
    )
    model_name: str = strawberry.field(
        description="Model name: `{base model}_{project}_v{version}`; the project's name in lower case, "
        "letters and digits only, spaces as underscores (`project` when nothing is left)."
    )
    name: str = strawberry.field(
        description="Display name: `outputName` when it was given, otherwise `modelName`."
    )
    base_model_name: str = strawberry.field(description="`modelId` of the base model.")
    status: RunStatus = strawberry.field(description="Status of the fine-tune.")
    error: str | None = strawberry.field(
        description="Why the training failed, in one sentence; null otherwise."
    )
    objective: TrainingObjective | None = strawberry.field(description="Training objective; never null.")
    method: FinetuneMethod | None = strawberry.field(description="Fine-tuning method; never null.")
    hyperparameters: Hyperparameters | None = strawberry.field(
        description="Hyperparameters of the run, with all defaults filled in; never null."
    )
    training_dataset_number_examples: int | None = strawberry.field(
        description="Maximum number of training items, as requested; null means all."
    )
    training_dataset_select_random: bool = strawberry.field(
        description="Whether the training items were sampled at random, reproducibly "
        "for a `seed`; otherwise they are the first ones."
    )
    seed: int | None = strawberry.field(
        description="Random seed for the sampling of items, the initialization of "
        "the adapter, the order of the data and dropout; never null."
    )
    trained_item_count: int = strawberry.field(
        description="Number of items that are trained on, without held-out ones. A local worker counts tokens "
        "before the first step, and leaves out items of whose output nothing is left within `maxSeqLength`; "
        "until then, and from an external worker, the number of `trainedItems`."
    )
    trained_content_hash: str | None = strawberry.field(
        description="SHA-256 in hex over the training items, independent of "
        "their order: equal items have equal hashes. Never null."
    )
    metrics: TrainingMetrics | None = strawberry.field(
        description="Latest training metrics; null before the first."
    )
    model_size_gb: float | None = strawberry.field(
        description="Size of the GGUF file in GB (10^9 bytes); null until it is exported."
    )
    model_size_parameter: BigInt | None = strawberry.field(
        description="Number of parameters of the merged model; null until it is exported."
    )
    model_dtype: str | None = strawberry.field(
        description="Data type of the merged weights before quantization, such as "
        "`bfloat16`; null until the model is exported."
    )
    model_quantization: str | None = strawberry.field(
        description="Quantization of the GGUF file, such as `q8_0`; null until it is exported."
    )
    training_time_seconds: float | None = strawberry.field(
        description="Training time in seconds, without loading and export "
        "of the model; null until it is exported."
    )
    inference_samples: list[InferenceSample] = strawberry.field(
        description="Sample prompts answered by the base model and by the fine-tuned model, at "
        "most 5 from a local worker; empty until the model is exported."
    )
    samples_held_out: bool | None = strawberry.field(
        description="Whether the inference samples are held-out items (`true`) or training items "
        "(`false`); null until the model is exported, and from an external worker."
    )
    warnings: list[str] = strawberry.field(
        description="Warnings about the run, one sentence each, such as how many items were truncated or left out: "
        "from a local worker before the first step, and those that come up later at the end."
    )
    parity: ParityReport | None = strawberry.field(
        description="Comparison of the exported GGUF with the fine-tuned model; null "
        "until the model is exported, and from an external worker."
    )
    artifacts: list[Artifact] = strawberry.field(
        description="Files that the run produced, ordered by `filename`."
    )
    created_at: datetime = strawberry.field(description="Creation time.")
    started_at: datetime | None = strawberry.field(
        description="Time when a worker first started the run; null before."
    )
    completed_at: datetime | None = strawberry.field(description="Time when the run ended; null before.")

    @classmethod
    def from_domain(cls, record: domain.Finetune) -> "Finetune":
        return convert(
            cls,
            record,
            record=record,
            hyperparameters=convert(Hyperparameters, record.hyperparameters),
            metrics=record.metrics and convert(TrainingMetrics, record.metrics),
            inference_samples=[convert(InferenceSample, sample) for sample in record.inference_samples],
            parity=record.parity and convert(ParityReport, record.parity),
            artifacts=artifacts_of(record),
        )

    @strawberry.field(description="The project that the fine-tune belongs to.")
    def project(self, info: Info) -> Annotated["Project", strawberry.lazy("schema.types.projects")]:
        return load_node(info, self.record.project_id, Noun.PROJECT)

    @strawberry.field(description="The base model; null when it is no longer offered.")
    def base_model(
        self, info: Info
    ) -> Annotated["BaseModel", strawberry.lazy("schema.types.base_models")] | None:
        return load_node(info, self.record.base_model_id, Noun.BASE_MODEL)

    @strawberry.field(
        description="The dataset that the items were taken from, also when it is `DELETED`; null "
        "only when its project is deleted during the operation."
    )
    def dataset(self, info: Info) -> Annotated["Dataset", strawberry.lazy("schema.types.datasets")] | None:
        return load(info, resolve_datasets.including_deleted, self.record.dataset_id).then(
            NODE_TYPES[Noun.DATASET].from_domain
        )

    @connection(
        "The frozen training items in the order of their dataset, without "
        "held-out ones, but with those that are left out because they are too long; "
        "later changes of the dataset do not affect them.",
        metadata=ONLY_ID,
    )
    def trained_items(
        self,
        info: Info,
        page: PageRequest,
    ) -> Connection[Annotated["DatasetItem", strawberry.lazy("schema.types.items")]]:
        return load_connection(info, Collection.FROZEN_ITEMS, page, parent=self.id, by=Parent.FINETUNE)

    @strawberry.field(
        description="Progress of the newest job from 0.0 to 1.0, export included.", metadata=ONLY_ID
    )
    def progress(self, info: Info) -> float:
        return load(info, resolve_jobs.latest, self.id).then(lambda job: job.progress, default=0.0)

    @strawberry.field(
        description="Progress message of the newest job, such as the training step; null "
        "before the first report and after the job has ended.",
        metadata=ONLY_ID,
    )
    def current_step(self, info: Info) -> str | None:
        return load(info, resolve_jobs.latest, self.id).then(
            lambda job: None if job.is_final else job.message
        )

    @strawberry.field(
        description="Seconds from `startedAt` until now, or until `completedAt`; null before the start."
    )
    def elapsed_seconds(self, info: Info) -> float | None:
        return self.record.elapsed_seconds(info.context.now())

    @strawberry.field(description="Last lines of the newest job's log, oldest first.", metadata=ONLY_ID)
    def recent_logs(
        self,
        info: Info,
        lines: Annotated[int, strawberry.argument(description="Number of lines, 1 to 1,000.")] = 100,
    ) -> list[str]:
        check_range(lines, "lines", 1, MAX_LINES)
        return load(info, resolve.recent_logs, self.id, lines).then(list, default=[])

    @connection(
        "Training curve: one point for each optimizer step, in the order of the steps.", metadata=ONLY_ID
    )
    def history(
        self,
        info: Info,
        page: PageRequest,
    ) -> Connection[TrainingPoint]:
        return load_connection(
            info,
            Collection.TRAINING_POINTS,
            page,
            parent=self.id,
            by=Parent.FINETUNE,
            convert_row=partial(convert, TrainingPoint),
        )

    @strawberry.field(
        description="The newest job of the fine-tune, which runs the training; null only "
        "when its project is deleted during the operation.",
        metadata=ONLY_ID,
    )
    def job(self, info: Info) -> Annotated["Job", strawberry.lazy("schema.types.jobs")] | None:
        return load(info, resolve_jobs.latest, self.id).then(NODE_TYPES[Noun.JOB].from_domain)

    @connection("Deployments of the fine-tune, newest first.", metadata=ONLY_ID)
    def deployments(
        self,
        info: Info,
        page: PageRequest,
    ) -> Connection[Annotated["Deployment", strawberry.lazy("schema.types.deployments")]]:
        return load_connection(info, Collection.DEPLOYMENTS, page, parent=self.id, by=Parent.FINETUNE)

    @strawberry.field(description="URI of the GGUF file in object storage; null until it is exported.")
    def output_path(self, info: Info) -> str | None:
        gguf = self.record.gguf
        return f"{info.context.services.storage.uri}/{self.record.key_of(gguf)}" if gguf else None

    @strawberry.field(description="REST path of the download of the GGUF file; null until it is exported.")
    def download_url(self) -> str | None:
        return f"{path_of(self.record)}/download" if self.record.gguf else None


@strawberry.type
class FinetuneQueries:
    @strawberry.field(description="A fine-tune of the viewer by its id.")
    def finetune(self, info: Info, id: Id) -> Finetune | None:
        return load_node(info, id, Noun.FINETUNE)

    @connection("All fine-tunes of the viewer over every project, newest first.")
    def finetunes(
        self,
        info: Info,
        page: PageRequest,
        status: WithFinetuneStatus = None,
    ) -> Connection[Finetune]:
        where = FinetuneFilter(status=status)
        return load_connection(info, Collection.FINETUNES, page, where=where)
