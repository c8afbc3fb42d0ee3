"""JSON as releases before this one stored it is read, and what is stored now has the same shape."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from domain import ids
from domain.artifacts import Artifact, ArtifactKind
from domain.documents import Document, DocumentKind, DocumentStatus, TablePreview
from domain.finetunes import Finetune, InferenceSample, ParityReport, TrainingMetrics
from domain.hyperparameters import Hyperparameters
from domain.ids import Noun
from domain.item_problems import Problem, ProblemCode
from domain.job_events import Checkpoint, Event, JobEventKind, LogLine, Metric, Progress, StatusChanged
from domain.jobs import JobStatus
from domain.reading import require
from domain.services import Services
from domain.training_points import TrainingPoint
from tests.clients import Api
from tests.conftest import Worker
from tests.finetuning import create_finetune, new_dataset, new_project
from tests.importing import csv_table, imported_dataset
from tests.jobs import queued_job, record_events, start_job

pytestmark = pytest.mark.anyio

EVENTS: dict[JobEventKind, tuple[str, Event]] = {
    JobEventKind.STATUS: (
        '{"status": "FAILED", "error": "No."}',
        StatusChanged(JobStatus.FAILED, "No."),
    ),
    JobEventKind.PROGRESS: ('{"progress": 0.5, "message": "training"}', Progress(0.5, "training")),
    JobEventKind.METRIC: (
        (
            '{"point": {"step": 3, "epoch": 0.5, "train_loss": 1.25, "eval_loss": null, "perplexity": null,'
            ' "learning_rate": 0.0002, "token_accuracy": null, "reward_margin": null, "reward_accuracy": null,'
            ' "at": "2026-10-01T12:00:00.123456+00:00"},'
            ' "total_steps": 6, "tokens_per_second": 12.5}'
        ),
        Metric(
            TrainingPoint(
                step=3,
                epoch=0.5,
                train_loss=1.25,
                learning_rate=0.0002,
                at=datetime(2026, 10, 1, 12, 0, 0, 123456, UTC),
            ),
            6,
            12.5,
        ),
    ),
    JobEventKind.CHECKPOINT: ('{"step": 3, "path": "/work/c3"}', Checkpoint(3, "/work/c3")),
    JobEventKind.LOG: ('{"line": "loading"}', LogLine("loading")),
}
FINETUNE: dict[str, tuple[str, Any]] = {
    "hyperparameters": (
        (
            '{"num_epochs": 3, "learning_rate": 0.0002, "per_device_batch_size": 4, "gradient_accumulation_steps": 4,'
            ' "max_seq_length": 512, "lora_r": 16, "lora_alpha": 32, "lora_dropout": 0.05,'
            ' "target_modules": ["q_proj", "v_proj"], "warmup_ratio": 0.03, "weight_decay": 0.01, "beta": null}'
        ),
        Hyperparameters(
            num_epochs=3.0,
            learning_rate=0.0002,
            per_device_batch_size=4,
            gradient_accumulation_steps=4,
            max_seq_length=512,
            lora_r=16,
            lora_alpha=32,
            lora_dropout=0.05,
            target_modules=("q_proj", "v_proj"),
            warmup_ratio=0.03,
            weight_decay=0.01,
        ),
    ),
    "metrics": (
        (
            '{"step": 3, "total_steps": 6, "epoch": 0.5, "train_loss": 1.25, "eval_loss": null, "learning_rate": 0.0002,'
            ' "tokens_per_second": null, "accuracy": null, "f1_score": null}'
        ),
        TrainingMetrics(step=3, total_steps=6, epoch=0.5, train_loss=1.25, learning_rate=0.0002),
    ),
    "inference_samples": (
        '[{"prompt": "p", "expected": null, "base_output": "b", "tuned_output": "t"}]',
        (InferenceSample(prompt="p", base_output="b", tuned_output="t"),),
    ),
    "parity": (
        (
            '{"passed": true, "prompts_compared": 2, "template_matches": true, "token_ids_match": true,'
            ' "outputs_matching": 2, "detail": null}'
        ),
        ParityReport(
            passed=True, prompts_compared=2, template_matches=True, token_ids_match=True, outputs_matching=2
        ),
    ),
    "artifacts": (
        '[{"filename": "m.gguf", "kind": "GGUF", "size_bytes": 7, "sha256": "ab", "quantization": "q8_0"}]',
        (
            Artifact(
                filename="m.gguf", kind=ArtifactKind.GGUF, size_bytes=7, sha256="ab", quantization="q8_0"
            ),
        ),
    ),
}
RELEASED_PREVIEW = (
    '{"headers": ["q", "a"], "rows": [["1", "2"], ["3", "4"]], "row_count": 2, "column_count": 2}',
    TablePreview(headers=("q", "a"), rows=(("1", "2"), ("3", "4")), row_count=2, column_count=2),
)
PREVIEW = (
    ('{"headers": ["q", "a"], "rows": [["1", "2"]], "row_count": 1, "column_count": 2, "is_guarded": true}'),
    TablePreview(headers=("q", "a"), rows=(("1", "2"),), row_count=1, column_count=2, is_guarded=True),
)
PROBLEMS = (
    '[{"code": "FIELD_MISSING", "message": "There is no answer."}]',
    (Problem(ProblemCode.FIELD_MISSING, "There is no answer."),),
)


async def scalar(database: AsyncEngine, statement: str, **values: Any) -> Any:
    """The first value that a statement of our own finds, or None where it writes."""
    async with database.begin() as connection:
        result = await connection.execute(text(statement), values)
        return result.scalar() if result.returns_rows else None


def ids_of(*prefixed: str) -> list[str]:
    """Ids as `uuid` literals."""
    return [str(ids.uuid_of(id, id.rpartition("_")[0])) for id in prefixed]


@pytest.mark.parametrize("kind", EVENTS)
async def test_an_event_is_read_as_it_was_stored(
    api: Api, services: Services, database: AsyncEngine, kind: JobEventKind
) -> None:
    stored, event = EVENTS[kind]
    job = await start_job(services, (await queued_job(api, services)).id)
    [id] = ids_of(job.id)
    await record_events(services, job, event)
    body = await scalar(database, "select body from job_events where job_id = :id and seq = 3", id=id)
    await scalar(
        database,
        "insert into job_events values (:id, 4, :kind, now(), cast(:body as jsonb))",
        id=id,
        kind=kind.value,
        body=stored,
    )
    async with services.transactions.read() as store:
        recorded = await store.job_events.after(job.id, 2)
    assert [record.event for record in recorded] == [event, event]
    assert json.loads(json.dumps(body).replace("Z", "+00:00")) == json.loads(stored)


def test_there_is_an_event_of_every_kind_and_a_value_of_every_column() -> None:
    assert set(EVENTS) == set(JobEventKind)


async def trained(api: Api, services: Services) -> Finetune:
    """A fine-tune that is planned."""
    project_id = await new_project(api)
    made = await create_finetune(api, project_id, await new_dataset(services, api, project_id))
    return await read(api, services, made["finetune"]["id"])


async def read(api: Api, services: Services, id: str) -> Finetune:
    async with services.transactions.begin() as store:
        return await require(store.finetunes, id, viewer_id=api.user_id)


@pytest.mark.parametrize("column", FINETUNE)
async def test_a_fine_tune_is_read_as_it_was_stored(
    api: Api, services: Services, database: AsyncEngine, column: str
) -> None:
    stored, value = FINETUNE[column]
    finetune = await trained(api, services)
    [id] = ids_of(finetune.id)
    await scalar(
        database,
        f"update finetunes set {column} = cast(:value as jsonb) where id = :id",  # noqa: S608 - a name of ours
        value=stored,
        id=id,
    )
    assert getattr(await read(api, services, finetune.id), column) == value
    async with services.transactions.begin() as store:
        await store.finetunes.change(finetune.id, {column: value})
    found = await scalar(database, f"select {column} from finetunes where id = :id", id=id)  # noqa: S608
    assert found == json.loads(stored)


async def test_a_model_s_nul_is_replaced_wherever_it_is(api: Api, services: Services) -> None:
    finetune = await trained(api, services)
    sample = InferenceSample(prompt="p\x00", tuned_output="\x00")
    async with services.transactions.begin() as store:
        values = {"inference_samples": (sample,), "warnings": ("a\x00",), "error": "\x00b"}
        await store.finetunes.change(finetune.id, values)
    found = await read(api, services, finetune.id)
    assert found.inference_samples == (replace(sample, prompt="p\ufffd", tuned_output="\ufffd"),)
    assert (found.warnings, found.error) == (("a\ufffd",), "\ufffdb")


async def test_a_document_s_preview_is_read_as_it_was_stored(
    api: Api, services: Services, database: AsyncEngine
) -> None:
    document = Document(
        id=ids.new(Noun.DOCUMENT),
        project_id=await new_project(api),
        filename="a.csv",
        kind=DocumentKind.DATASET_UPLOAD,
        mime_type="text/csv",
        preview=PREVIEW[1],
        status=DocumentStatus.READY,
        created_at=datetime.now(UTC),
    )
    [id] = ids_of(document.id)
    async with services.transactions.begin() as store:
        await store.documents.add(document)
    assert await scalar(database, "select preview from documents where id = :id", id=id) == json.loads(
        PREVIEW[0]
    )
    for stored, value in (PREVIEW, RELEASED_PREVIEW, ("null", None)):
        update = "update documents set preview = cast(:value as jsonb) where id = :id"
        await scalar(database, update, value=stored, id=id)
        async with services.transactions.begin() as store:
            found = await require(store.documents, document.id, viewer_id=api.user_id)
        assert found.preview == value


async def test_an_item_s_problems_are_read_as_they_were_stored(
    api: Api, services: Services, worker: Worker, database: AsyncEngine
) -> None:
    dataset_id = await imported_dataset(api, worker, csv_table(3))
    [id] = ids_of(dataset_id)
    await scalar(
        database,
        "update items set problems = cast(:value as jsonb) where dataset_id = :id and position = 1",
        value=PROBLEMS[0],
        id=id,
    )
    async with services.transactions.begin() as store:
        items = (await store.items.sample([dataset_id], 10, viewer_id=api.user_id))[dataset_id]
    assert [item.problems for item in items if item.position == 1] == [PROBLEMS[1]]
