"""A user with an object of every noun, and inputs with the ids of one user or of another."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import compress, product
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from domain import ids
from domain.artifacts import Artifact, ArtifactKind
from domain.base_models import TINY
from domain.deployments import ModelCapability
from domain.ids import Noun
from domain.job_events import LogLine
from domain.reading import require
from domain.request_logs import RequestLog
from domain.services import Services
from domain.storage_keys import gguf_filename
from domain.training_points import TrainingPoint
from domain.use_cases import deployments
from infra.db import tables
from tests.clients import Api
from tests.external import put_object
from tests.finetuning import create_finetune, new_dataset, new_project
from tests.importing import csv_table, items, upload
from tests.jobs import record_events, start_job, succeed

SHARED = frozenset({"BaseModel"})
"""Nouns whose objects every user may see."""
NOW = datetime(2026, 1, 1, tzinfo=UTC)
MODEL = b"not really a GGUF"


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleData:
    """The objects of a user: an id by noun, the file name of the fine-tune, and the secret of the key."""

    api: Api
    ids: Mapping[str, str]
    filename: str
    model_name: str
    secret: str


async def create_sample_data(services: Services, api: Api) -> SampleData:
    """Create an object of every noun through the application: upload, train, deploy and request."""
    project_id = await new_project(api)
    document_id = await upload(api, project_id, csv_table(3))
    dataset_id = await new_dataset(services, api, project_id)
    finetune_id, job_id, filename = await _train(services, api, project_id, dataset_id)
    deployment = await _deploy(services, api, project_id, finetune_id)
    log_id = await _log_request(services, deployment["id"], deployment["key_id"])
    return SampleData(
        api=api,
        ids={
            "User": api.user_id,
            "Project": project_id,
            "Document": document_id,
            "Dataset": dataset_id,
            "DatasetItem": (await items(api, dataset_id, "id"))[0]["id"],
            "BaseModel": TINY.id,
            "Finetune": finetune_id,
            "Job": job_id,
            "Deployment": deployment["id"],
            "ApiKey": deployment["key_id"],
            "RequestLog": log_id,
        },
        filename=filename,
        model_name=deployment["model_name"],
        secret=deployment["secret"],
    )


async def _train(services: Services, api: Api, project_id: str, dataset_id: str) -> tuple[str, str, str]:
    """A training that is DONE: the fine-tune's id, the job's id, and the file name of the model."""
    payload = await create_finetune(api, project_id, dataset_id)
    id, job = payload["finetune"]["id"], await start_job(services, payload["job"]["id"])
    await record_events(services, job, LogLine("trained"))
    async with services.transactions.begin() as store:
        finetune = await require(store.finetunes, id, viewer_id=api.user_id)
        filename = gguf_filename(finetune.model_name)
        gguf = Artifact(filename=filename, kind=ArtifactKind.GGUF, size_bytes=len(MODEL), sha256="0" * 64)
        await store.training_points.upsert(id, [TrainingPoint(step=1, epoch=1.0, train_loss=1.0, at=NOW)])
        await store.finetunes.set_artifacts(id, [gguf])
    await put_object(services, finetune.key_of(gguf), MODEL)
    await succeed(services, job)
    return id, job.id, filename


async def _deploy(services: Services, api: Api, project_id: str, finetune_id: str) -> dict[str, str]:
    """A deployment that is READY, and its first key."""
    selection = "deployment { id modelName apiKeys { nodes { id } } } job { id } apiKey"
    input = {"projectId": project_id, "finetuneId": finetune_id, "modelName": f"model of {api.user_id}"}
    payload = await api.mutate("createDeployment", selection, **input)
    job = await start_job(services, payload["job"]["id"])
    async with services.transactions.begin() as store:
        await deployments.record_capabilities(store, job, {ModelCapability.TOOLS})
    await succeed(services, job)
    deployment = payload["deployment"]
    return {
        "id": deployment["id"],
        "model_name": deployment["modelName"],
        "key_id": deployment["apiKeys"]["nodes"][0]["id"],
        "secret": payload["apiKey"],
    }


async def _log_request(services: Services, deployment_id: str, key_id: str) -> str:
    log = RequestLog(
        id=ids.new(Noun.REQUEST_LOG), deployment_id=deployment_id, api_key_id=key_id, date=NOW,
        endpoint="chat/completions", input="a question", output="an answer", status=200, latency_ms=1.0,
    )  # fmt: skip
    async with services.transactions.begin() as store:
        await store.request_logs.add_many([log])
    return log.id


def unknown_ids() -> dict[str, str]:
    """A well-formed id of each noun without an object; of shared nouns, that of a shared object."""
    return {noun: TINY.id if noun in SHARED else ids.new(noun) for noun in ids.PREFIXES}


@dataclass(frozen=True, slots=True)
class IdOf:
    """A placeholder for an id in an input; `slot` tells two of one noun apart, `text` is the text around it."""

    noun: str
    slot: int = 0
    text: str = field(default="{}", compare=False)


def id_places_of(value: Any, path: str = "") -> Iterator[tuple[str, IdOf]]:
    """The path and placeholder of each id in an input; members of a list have the path of the list."""
    if isinstance(value, IdOf):
        yield path, value
    elif isinstance(value, list):
        for member in value:
            yield from id_places_of(member, path)
    elif isinstance(value, dict):
        for name, member in value.items():
            yield from id_places_of(member, f"{path}.{name}" if path else name)


def with_ids(value: Any, owners: Mapping[IdOf, Mapping[str, str]]) -> Any:
    """The input with each placeholder replaced by an id of its owner."""
    if isinstance(value, IdOf):
        return value.text.format(owners[value][value.noun])
    if isinstance(value, list):
        return [with_ids(member, owners) for member in value]
    if isinstance(value, dict):
        return {name: with_ids(member, owners) for name, member in value.items()}
    return value


def with_ids_of(value: Any, owner: Mapping[str, str]) -> Any:
    """The input with each placeholder replaced by an id of one owner."""
    return with_ids(value, {placeholder: owner for _, placeholder in id_places_of(value)})


def foreign_inputs(
    value: Any, own: Mapping[str, str], *others: Mapping[str, str]
) -> Iterator[tuple[str, list[Any]]]:
    """The inputs with ids of others in any combination of placeholders, and ids of the caller in the rest.

    Yields the nouns that have ids of others, with one input for each of the others.
    """
    placeholders = list(dict.fromkeys(found for _, found in id_places_of(value)))
    owned = [placeholder for placeholder in placeholders if placeholder.noun not in SHARED]
    shared = {placeholder: own for placeholder in placeholders if placeholder.noun in SHARED}
    for choice in product((True, False), repeat=len(owned)):
        if foreign := list(compress(owned, choice)):
            inputs = []
            for other in others:
                owners = {placeholder: other if placeholder in foreign else own for placeholder in owned}
                inputs.append(with_ids(value, shared | owners))
            yield ", ".join(placeholder.noun for placeholder in foreign), inputs


def without_ids(response: str, ids: Mapping[str, str]) -> str:
    """The response with nouns in place of ids, to compare it with the response to other ids."""
    for noun, id in ids.items():
        response = response.replace(id, noun)
    return response


NAMES = [*(table.name for table in tables.metadata.sorted_tables), "procrastinate_jobs"]
SNAPSHOT = " union all ".join(f"select '{name}', to_jsonb(t)::text from {name} t" for name in NAMES)  # noqa: S608 - our own names


async def snapshot(database: AsyncEngine) -> list[tuple[str, str]]:
    """Every row of every table, those of the queue too, which has the deletions in storage that are to come."""
    async with database.connect() as connection:
        rows = await connection.execute(text(SNAPSHOT + " order by 1, 2"))
        return [(table, row) for table, row in rows]
