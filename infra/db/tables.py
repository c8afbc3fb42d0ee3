"""All tables, in one module because Alembic compares them with its migrations. Nothing outside infra imports it."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    DateTime,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from domain import datasets as ds
from domain import deployments as dep
from domain import documents as doc
from domain import items as item
from domain import jobs as jb
from domain import projects as prj
from domain.artifacts import Artifact
from domain.base_models import ModelSource, ModelType
from domain.conversations import ItemFormat
from domain.encodings import EncodingReading
from domain.finetunes import InferenceSample, ParityReport, TrainingMetrics
from domain.hyperparameters import FinetuneMethod, Hyperparameters, TrainingObjective
from domain.ids import Noun
from domain.import_formats import ImportFormat
from domain.job_events import JobEventKind
from domain.splits import Split
from infra.db.types import AnyId, Id, Json, Name, Names, Texts

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Moment = DateTime(timezone=True)


def _id(noun: Noun) -> "Column[str]":
    return Column("id", Id(noun), primary_key=True)


def _ref(
    name: str, noun: Noun, target: str, *, cascade: bool = True, nullable: bool = False, index: bool = True
) -> "Column[str]":
    """A reference; without `cascade` it is cleared when its target is deleted."""
    on_delete = "CASCADE" if cascade else "SET NULL"
    key = ForeignKey(f"{target}.id", ondelete=on_delete)
    return Column(name, Id(noun), key, nullable=nullable or not cascade, index=index)


users = Table(
    "users",
    metadata,
    _id(Noun.USER),
    Column("email", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("current_plan", Text, nullable=False),
    Column("billing_cycle", Text),
    Column("created_at", Moment, nullable=False),
)

base_models = Table(
    "base_models",
    metadata,
    _id(Noun.BASE_MODEL),
    Column("model_id", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("description", Text),
    Column("source", Name(ModelSource), nullable=False),
    Column("model_type", Name(ModelType), nullable=False),
    Column("base_architecture", Text, nullable=False),
    Column("architecture", Text),
    Column("version", Text),
    Column("num_parameters", BigInteger),
    Column("vocab_size", Integer),
    Column("max_position_embeddings", Integer),
    Column("license", Text),
    Column("min_rank", Integer, nullable=False),
    Column("max_rank", Integer, nullable=False),
    Column("default_alpha", Integer, nullable=False),
    Column("target_modules", Texts, nullable=False),
    Column("revision", Text),
    Column("sha256", Text),
    Column("size_bytes", BigInteger),
    Column("last_used_at", Moment),
    Column("valid", Boolean, nullable=False),
    Column("warnings", Texts, nullable=False),
    Column("defaults", JSONB, nullable=False),
    Index("ix_base_models_name_id", "name", "id"),
)

projects = Table(
    "projects",
    metadata,
    _id(Noun.PROJECT),
    _ref("owner_id", Noun.USER, "users", index=False),
    Column("name", Text, nullable=False),
    Column("description", Text),
    Column("task_type", Name(prj.TaskType), nullable=False),
    Column("status", Name(prj.ProjectStatus), nullable=False),
    Column("num_examples_target", Integer, nullable=False),
    Column("max_seq_length", Integer, nullable=False),
    Column("train_eval_split", Double, nullable=False),
    _ref("base_model_id", Noun.BASE_MODEL, "base_models", cascade=False),
    Column(
        "training_dataset_id",
        Id(Noun.DATASET),
        ForeignKey("datasets.id", ondelete="SET NULL", use_alter=True),
    ),
    Column("finetune_id", Id(Noun.FINETUNE), ForeignKey("finetunes.id", ondelete="SET NULL", use_alter=True)),
    Column("dataset_versions", Integer, nullable=False, server_default="0"),
    Column("finetune_versions", Integer, nullable=False, server_default="0"),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Index("ix_projects_owner_id_id", "owner_id", "id"),
)

documents = Table(
    "documents",
    metadata,
    _id(Noun.DOCUMENT),
    _ref("project_id", Noun.PROJECT, "projects", index=False),
    Column("filename", Text, nullable=False),
    Column("kind", Name(doc.DocumentKind), nullable=False),
    Column("mime_type", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("status", Name(doc.DocumentStatus), nullable=False),
    Column("error", Text),
    Column("language", Text),
    Column("page_count", Integer),
    Column("sha256", Text),
    Column("etag", Text),
    Column("encoding", Text),
    Column("encoding_readings", Json(tuple[EncodingReading, ...]), nullable=False, server_default="[]"),
    Column("preview", Json(doc.TablePreview)),
    Column("import_format", Name(ImportFormat)),
    Column("item_format", Name(ItemFormat)),
    Column("created_at", Moment, nullable=False),
    Index("ix_documents_project_id_id", "project_id", "id"),
)

datasets = Table(
    "datasets",
    metadata,
    _id(Noun.DATASET),
    _ref("project_id", Noun.PROJECT, "projects", index=False),
    Column("version", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("description", Text),
    Column("status", Name(ds.RunStatus), nullable=False),
    Column("error", Text),
    Column("origin", Name(ds.DatasetOrigin), nullable=False),
    Column("file_count", Integer, nullable=False),
    Column("total_size_bytes", BigInteger, nullable=False),
    Column("generate_prompt", Text),
    Column("item_format", Name(ItemFormat), nullable=False, server_default="PROMPT_COMPLETION"),
    Column("system_prompt", Text),
    Column("input_field", Text, nullable=False),
    Column("output_field", Text, nullable=False),
    Column("field_names", Texts, nullable=False),
    Column("json_object_fields", JSONB(none_as_null=True)),
    Column("expected_output_size_chars", Integer),
    Column("language_iso", Text, nullable=False),
    Column("corpus_name", Text),
    Column("generate_examples_number", Integer),
    Column("generate_model", Text),
    Column("generate_model_runner", Text),
    Column("generation_time_seconds", Double),
    Column("train_share", Double, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("holds_out", Boolean, nullable=False),
    Column("max_tokens", Integer, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    UniqueConstraint("project_id", "version"),
    Index("ix_datasets_project_id_id", "project_id", "id"),
)

prompt_revisions = Table(
    "prompt_revisions",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    _ref("dataset_id", Noun.DATASET, "datasets"),
    Column("prompt", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
)

dataset_documents = Table(
    "dataset_documents",
    metadata,
    Column("dataset_id", Id(Noun.DATASET), ForeignKey("datasets.id", ondelete="CASCADE"), primary_key=True),
    Column(
        "document_id",
        Id(Noun.DOCUMENT),
        ForeignKey("documents.id", ondelete="CASCADE"),
        primary_key=True,
        index=True,
    ),
)

items = Table(
    "items",
    metadata,
    _id(Noun.ITEM),
    _ref("dataset_id", Noun.DATASET, "datasets", index=False),
    Column("position", BigInteger, nullable=False),
    Column("key", Text, nullable=False),
    Column("values", Texts, nullable=False),
    Column("corrects_id", Id(Noun.ITEM), unique=True),
    Column("corrected_by_id", Id(Noun.ITEM)),
    Column("deleted", Boolean, nullable=False),
    Column("split", Name(Split), nullable=False),
    Column("problems", JSONB, nullable=False),  # those that make the item invalid
    Column("warnings", JSONB, nullable=False, server_default="[]"),
    Column("is_duplicate", Boolean, nullable=False),
    Column("is_near_duplicate", Boolean, nullable=False, server_default=false()),
    Column("is_contradiction", Boolean, nullable=False, server_default=false()),
    Column("is_valid", Boolean, Computed("problems = '[]'::jsonb and not is_duplicate", persisted=True)),
    Column("token_count", Integer, nullable=False),
    Column("origin", Name(item.ItemOrigin), nullable=False),
    _ref("document_id", Noun.DOCUMENT, "documents", cascade=False),
    Column("source_document", Text),
    Column("source_start", BigInteger),
    Column("source_end", BigInteger),
    Column("generate_model", Text),
    Column("generation_time_seconds", Double),
    Column("search_text", Text),  # searched in place of the values
    Column("digest", LargeBinary, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("input_fingerprint", LargeBinary, nullable=False),
    Column("output_fingerprint", LargeBinary, nullable=False),
    Column("score", Double, nullable=False),
    Column("created_at", Moment, nullable=False),
    UniqueConstraint("dataset_id", "key"),
    Index("ix_items_dataset_id_position_id", "dataset_id", "position", "id"),
)

finetunes = Table(
    "finetunes",
    metadata,
    _id(Noun.FINETUNE),
    _ref("project_id", Noun.PROJECT, "projects", index=False),
    Column("version", Integer, nullable=False),
    Column("model_name", Text, nullable=False),
    Column("output_name", Text),
    Column("base_model_name", Text, nullable=False),
    _ref("base_model_id", Noun.BASE_MODEL, "base_models", cascade=False),
    Column("status", Name(ds.RunStatus), nullable=False),
    Column("error", Text),
    Column("base_model_revision", Text),
    Column("base_model_sha256", Text),
    Column("objective", Name(TrainingObjective), nullable=False, server_default="SFT"),
    Column("method", Name(FinetuneMethod), nullable=False),
    Column("hyperparameters", Json(Hyperparameters), nullable=False),
    _ref("dataset_id", Noun.DATASET, "datasets", index=False),
    Column("training_dataset_number_examples", Integer),
    Column("training_dataset_select_random", Boolean, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("trained_item_count", Integer, nullable=False),
    Column("trained_content_hash", Text),
    Column("metrics", Json(TrainingMetrics)),
    Column("model_size_gb", Double),
    Column("model_size_parameter", BigInteger),
    Column("model_dtype", Text),
    Column("model_quantization", Text),
    Column("training_time_seconds", Double),
    Column("inference_samples", Json(tuple[InferenceSample, ...]), nullable=False),
    Column("samples_held_out", Boolean),
    Column("warnings", Texts, nullable=False),
    Column("parity", Json(ParityReport)),
    Column("artifacts", Json(tuple[Artifact, ...]), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("started_at", Moment),
    Column("completed_at", Moment),
    UniqueConstraint("project_id", "version"),
    Index("ix_finetunes_project_id_id", "project_id", "id"),
    Index("ix_finetunes_dataset_id_id", "dataset_id", "id"),
    # a project trains one model at a time, under concurrency too
    Index(
        "uq_finetunes_project_id_running",
        "project_id",
        unique=True,
        postgresql_where=text("status in ('PLANNING', 'RUNNING')"),
    ),
)

finetune_items = Table(
    "finetune_items",
    metadata,
    Column(
        "finetune_id", Id(Noun.FINETUNE), ForeignKey("finetunes.id", ondelete="CASCADE"), primary_key=True
    ),
    Column("ordinal", BigInteger, primary_key=True),
    _ref("item_id", Noun.ITEM, "items"),
    Column("split", Name(Split), nullable=False),
)

training_points = Table(
    "training_points",
    metadata,
    Column(
        "finetune_id", Id(Noun.FINETUNE), ForeignKey("finetunes.id", ondelete="CASCADE"), primary_key=True
    ),
    Column("step", Integer, primary_key=True),
    Column("epoch", Double, nullable=False),
    Column("train_loss", Double),
    Column("eval_loss", Double),
    Column("perplexity", Double),
    Column("learning_rate", Double),
    Column("token_accuracy", Double),
    Column("reward_margin", Double),
    Column("reward_accuracy", Double),
    Column("at", Moment, nullable=False),
)

jobs = Table(
    "jobs",
    metadata,
    _id(Noun.JOB),
    _ref("project_id", Noun.PROJECT, "projects", index=False),
    Column("type", Name(jb.JobType), nullable=False),
    Column("status", Name(jb.JobStatus), nullable=False),
    Column("subject_id", AnyId, nullable=False),
    Column("progress", Double, nullable=False),
    Column("message", Text),
    Column("result", JSONB(none_as_null=True)),
    Column("error", Text),
    Column("attempt", Integer, nullable=False),
    Column("runner", Name(jb.Runner), nullable=False),
    Column("arguments", JSONB(none_as_null=True)),
    Column("last_seq", BigInteger, nullable=False, server_default="0"),
    Column("created_at", Moment, nullable=False),
    Column("started_at", Moment),
    Column("finished_at", Moment),
    Index("ix_jobs_project_id_id", "project_id", "id"),
    Index("ix_jobs_subject_id_id", "subject_id", "id"),
)

job_events = Table(
    "job_events",
    metadata,
    Column("job_id", Id(Noun.JOB), ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("kind", Name(JobEventKind), nullable=False),
    Column("at", Moment, nullable=False),
    Column("body", JSONB, nullable=False),
    Index("ix_job_events_job_id_kind_seq", "job_id", "kind", "seq"),
)

deployments = Table(
    "deployments",
    metadata,
    _id(Noun.DEPLOYMENT),
    _ref("project_id", Noun.PROJECT, "projects", index=False),
    Column("model_name", Text, nullable=False),
    _ref("finetune_id", Noun.FINETUNE, "finetunes", nullable=True, index=False),
    Column("status", Name(dep.DeploymentStatus), nullable=False),
    Column("error", Text),
    Column("capabilities", Names(dep.ModelCapability)),
    Column("created_at", Moment, nullable=False),
    UniqueConstraint("project_id", "model_name"),
    Index("ix_deployments_project_id_id", "project_id", "id"),
    Index("ix_deployments_finetune_id_id", "finetune_id", "id"),
)

api_keys = Table(
    "api_keys",
    metadata,
    _id(Noun.API_KEY),
    _ref("owner_id", Noun.USER, "users", index=False),
    Column("name", Text, nullable=False),
    Column("prefix", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True),
    _ref("deployment_id", Noun.DEPLOYMENT, "deployments", nullable=True, index=False),
    Column("expires_at", Moment),
    Column("revoked_at", Moment),
    Column("last_used_at", Moment),
    Column("created_at", Moment, nullable=False),
    Index("ix_api_keys_owner_id_id", "owner_id", "id"),
    Index("ix_api_keys_deployment_id_id", "deployment_id", "id"),
)

request_logs = Table(
    "request_logs",
    metadata,
    _id(Noun.REQUEST_LOG),
    _ref("deployment_id", Noun.DEPLOYMENT, "deployments", index=False),
    _ref("api_key_id", Noun.API_KEY, "api_keys", cascade=False),
    Column("date", Moment, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("input", Text, nullable=False),
    Column("messages", JSONB(none_as_null=True)),
    Column("output", Text),
    Column("status", Integer, nullable=False),
    Column("error", Text),
    Column("prompt_tokens", Integer),
    Column("completion_tokens", Integer),
    Column("latency_ms", Double, nullable=False),
    Column("time_to_first_token_ms", Double),
    Column("streamed", Boolean, nullable=False),
    Column("finish", Text),
    Index("ix_request_logs_deployment_id_id", "deployment_id", "id"),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("user_id", Id(Noun.USER), ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("operation", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("fingerprint", Text, nullable=False),
    Column("result_id", Text),
    Column("created_at", Moment, nullable=False, server_default=text("now()")),
    CheckConstraint("length(key) <= 200", name="key_length"),
)
