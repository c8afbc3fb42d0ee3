"""A user with one object of every kind, and inputs that name objects of one user or of another."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import product
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from domain import ids
from domain.base_models import TINY
from domain.finetunes import Artifact, ArtifactKind
from domain.ids import Noun
from domain.job_events import LogLine
from domain.reading import require
from domain.request_logs import RequestLog
from domain.services import Services
from domain.training_points import TrainingPoint
from infra.db import tables
from tests.clients import Api
from tests.external import store
from tests.finetuning import launch, new_dataset, new_project
from tests.importing import items, table, upload
from tests.jobs import begin, say, succeed

SHARED = frozenset({"BaseModel"})
"""Nouns that belong to everybody."""
NOW = datetime(2026, 1, 1, tzinfo=UTC)
MODEL = b"GGUF, or nearly"


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What one user has: an id for each noun, the file of the fine-tune, and the secret of the key."""

    api: Api
    ids: Mapping[str, str]
    filename: str
    model_name: str
    secret: str


async def plant(services: Services, api: Api) -> World:
    """One object of every noun, as the application makes them: uploaded, trained, deployed and asked."""
    project_id = await new_project(api)
    document_id = await upload(api, project_id, table(3))
    dataset_id = await new_dataset(services, api, project_id)
    finetune_id, job_id, filename = await _tune(services, api, project_id, dataset_id)
    deployment = await _deploy(services, api, project_id, finetune_id)
    log_id = await _ask(services, deployment["id"], deployment["key_id"])
    return World(
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


async def _tune(services: Services, api: Api, project_id: str, dataset_id: str) -> tuple[str, str, str]:
    """A training that is done: its fine-tune, its job, and the name of the model's file."""
    made = await launch(api, project_id, dataset_id)
    id, job = made["finetune"]["id"], await begin(services, made["job"]["id"])
    await say(services, job, LogLine("trained"))
    async with services.transactions.begin() as kept:
        finetune = await require(kept.finetunes, id, viewer_id=api.user_id)
        filename = finetune.gguf_key.removeprefix(finetune.prefix)
        gguf = Artifact(filename=filename, kind=ArtifactKind.GGUF, size_bytes=len(MODEL), sha256="0" * 64)
        await kept.training_points.add(id, [TrainingPoint(step=1, epoch=1.0, train_loss=1.0, at=NOW)])
        await kept.finetunes.set_artifacts(id, [gguf])
    await store(services, finetune.gguf_key, MODEL)
    await succeed(services, job)
    return id, job.id, filename


async def _deploy(services: Services, api: Api, project_id: str, finetune_id: str) -> dict[str, str]:
    """A deployment that is READY, and its first key."""
    wanted = "deployment { id modelName apiKeys { nodes { id } } } job { id } apiKey"
    asked = {"projectId": project_id, "finetuneId": finetune_id, "modelName": f"model of {api.user_id}"}
    made = await api.mutate("createDeployment", wanted, **asked)
    await succeed(services, await begin(services, made["job"]["id"]))
    deployment = made["deployment"]
    return {
        "id": deployment["id"],
        "model_name": deployment["modelName"],
        "key_id": deployment["apiKeys"]["nodes"][0]["id"],
        "secret": made["apiKey"],
    }


async def _ask(services: Services, deployment_id: str, key_id: str) -> str:
    """A request that the deployment answered."""
    log = RequestLog(
        id=ids.new(Noun.REQUEST_LOG), deployment_id=deployment_id, api_key_id=key_id, date=NOW,
        endpoint="chat/completions", input="a question", output="an answer", status=200, latency_ms=1.0,
    )  # fmt: skip
    async with services.transactions.begin() as kept:
        await kept.request_logs.add_many([log])
    return log.id


def unknown() -> dict[str, str]:
    """A well-formed id of each noun that nothing has, but for what everybody has."""
    return {noun: TINY.id if noun in SHARED else ids.new(noun) for noun in ids.PREFIXES}


@dataclass(frozen=True, slots=True)
class Of:
    """The id of an object inside of an input; `slot` tells two of one noun apart, `text` is around it."""

    noun: str
    slot: int = 0
    text: str = field(default="{}", compare=False)


def places(value: Any, path: str = "") -> Iterator[tuple[str, Of]]:
    """Where an input names objects; the members of a list are at its place."""
    if isinstance(value, Of):
        yield path, value
    elif isinstance(value, list):
        for member in value:
            yield from places(member, path)
    elif isinstance(value, dict):
        for name, member in value.items():
            yield from places(member, f"{path}.{name}" if path else name)


def filled(value: Any, whose: Mapping[Of, Mapping[str, str]]) -> Any:
    """The input with ids in their places."""
    if isinstance(value, Of):
        return value.text.format(whose[value][value.noun])
    if isinstance(value, list):
        return [filled(member, whose) for member in value]
    if isinstance(value, dict):
        return {name: filled(member, whose) for name, member in value.items()}
    return value


def owned(value: Any, owner: Mapping[str, str]) -> Any:
    """The input with one user's ids in all places."""
    return filled(value, {it: owner for _, it in places(value)})


def trespasses(
    value: Any, mine: Mapping[str, str], *others: Mapping[str, str]
) -> Iterator[tuple[str, list[Any]]]:
    """Every way in which an input can name something that is not the caller's, beside what is.

    With each comes what it is, and the input with the ids of each of the others in those places.
    """
    named = list(dict.fromkeys(it for _, it in places(value) if it.noun not in SHARED))
    shared = {it: mine for _, it in places(value) if it.noun in SHARED}
    for foreign in product((True, False), repeat=len(named)):
        if any(foreign):
            label = ", ".join(it.noun for it, is_foreign in zip(named, foreign, strict=True) if is_foreign)
            inputs = []
            for other in others:
                whose = {
                    it: other if is_foreign else mine for it, is_foreign in zip(named, foreign, strict=True)
                }
                inputs.append(filled(value, shared | whose))
            yield label, inputs


def masked(answer: str, *of: Mapping[str, str]) -> str:
    """An answer without the ids in it, to be compared with the answer to other ids."""
    for each in of:
        for noun, id in each.items():
            answer = answer.replace(id, noun)
    return answer


NAMES = [*(it.name for it in tables.metadata.sorted_tables), "procrastinate_jobs"]
SNAPSHOT = " union all ".join(f"select '{it}', to_jsonb(t)::text from {it} t" for it in NAMES)  # noqa: S608 - our own names


async def snapshot(database: AsyncEngine) -> list[tuple[str, str]]:
    """Every row of every table, the queue's too: what is to be deleted in storage is a row there first."""
    async with database.connect() as connection:
        found = await connection.execute(text(SNAPSHOT + " order by 1, 2"))
        return [(name, row) for name, row in found]
