"""A call that is sent again does what it did once, whatever happened to the first answer."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from graphql import get_named_type
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from domain.services import Services
from infra.db.idempotency import SqlIdempotency
from infra.queue import TIDY
from tests.clients import Api
from tests.conftest import Worker
from tests.introspection import MUTATIONS, ids_in, mutation, takes
from tests.world import Of, World, owned, plant, snapshot

pytestmark = pytest.mark.anyio

PROJECT = Of("Project")
MAKING: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "createProject": ({"name": "new"}, {"name": "another"}),
    "initiateUpload": (
        {"projectId": PROJECT, "fileName": "t.csv", "fileType": "text/csv", "kind": "DATASET_UPLOAD"},
        {"fileName": "another.csv"},
    ),
    "createDataset": (
        {"projectId": PROJECT, "inputField": "q", "outputField": "a", "fieldNames": ["q", "a"]},
        {"fieldNames": ["a", "q"]},
    ),
    "createFinetune": (
        {"projectId": PROJECT, "baseModelName": "luthier/tiny", "trainingDatasetId": Of("Dataset")},
        {"seed": 5},
    ),
    "importDataset": ({"datasetId": Of("Dataset"), "documentId": Of("Document")}, {"format": "JSONL"}),
    "createDeployment": (
        {"projectId": PROJECT, "finetuneId": Of("Finetune"), "modelName": "new"},
        {"modelName": "another"},
    ),
    "createApiKey": ({"name": "new"}, {"expiresAt": "2100-01-01T00:00:00Z"}),
}
"""What is sent to each mutation that makes something, and what another call sends instead."""
MADE_BY_OTHERS = {"register", "completeUpload", "correctItem", "complete"}
"""An account is made once for each address, a read job once for each upload, a correction once for each item; an
answer is not kept."""
CHANGING = ("update", "delete", "restore", "cancel", "revoke", "login")
TEXTS = {"apiKey", "secret", "uploadUrl"}
"""What a payload has for its caller alone; the calls here name it `text`."""
SAME = {"idempotencyKey": "the same key"}
KEY_TABLE = "idempotency_keys"


def test_every_mutation_that_makes_something_takes_a_key() -> None:
    making = {name for name in MUTATIONS if not name.startswith(CHANGING)} - MADE_BY_OTHERS
    assert making == MAKING.keys() == {name for name in MUTATIONS if takes(name, "idempotencyKey")}


@pytest.fixture
async def owner(api: Api, services: Services) -> World:
    """Who has a project with everything in it."""
    return await plant(services, api)


def document(name: str) -> str:
    """The mutation, with all that it says but once."""
    payload: Any = get_named_type(MUTATIONS[name].type)
    texts = [
        f"text: {it}" for it, field in payload.fields.items() if it in TEXTS and str(field.type) == "String"
    ]
    return mutation(name).replace("userErrors {", f"{' '.join(texts)} userErrors {{")


async def call(api: Api, name: str, given: dict[str, Any]) -> dict[str, Any]:
    """The payload of a call."""
    return dict((await api.gql(document(name), input=given))[name])


def outcome(payload: dict[str, Any]) -> str:
    """What a call made, or why nothing."""
    errors = payload["userErrors"]
    return errors[0]["reason"] if errors else " ".join(sorted(ids_in(payload)))


async def counted(database: AsyncEngine) -> Counter[str]:
    """How many rows each table has, the queue's too."""
    return Counter(name for name, _ in await snapshot(database) if name != KEY_TABLE)


async def test_the_same_call_changes_nothing_the_second_time_and_gives_the_same(
    owner: World, database: AsyncEngine
) -> None:
    for name, (template, _) in MAKING.items():
        given = owned(template, owner.ids) | SAME
        before = await counted(database)
        first = await call(owner.api, name, given)
        after = await snapshot(database)
        second = await call(owner.api, name, given)
        assert await counted(database) > before, name
        assert await snapshot(database) == after, name
        assert outcome(first) == outcome(second) != "", (first, second)
        assert first.get("text", "none") is not None, name
        assert second.get("text") is None or name == "initiateUpload", name


async def test_another_call_with_the_same_key_is_refused(owner: World, database: AsyncEngine) -> None:
    for name, (template, other) in MAKING.items():
        given = owned(template, owner.ids) | SAME
        assert (await call(owner.api, name, given))["userErrors"] == [], name
        before = await snapshot(database)
        (error,) = (await call(owner.api, name, given | other))["userErrors"]
        assert (error["code"], error["reason"]) == ("CONFLICT", "IDEMPOTENCY_KEY_REUSED"), name
        assert error["field"] == ["idempotencyKey"]
        assert await snapshot(database) == before, name


async def test_of_ten_calls_at_once_one_makes_it_and_all_get_it(owner: World, database: AsyncEngine) -> None:
    for name, (template, _) in MAKING.items():
        given, before = owned(template, owner.ids), await counted(database)
        payloads = await asyncio.gather(*(call(owner.api, name, given | SAME) for _ in range(10)))
        made = await counted(database) - before
        assert len(set(map(outcome, payloads))) == 1, name
        assert made.pop("finetune_items", 3) == 3  # one for each of the dataset's items
        assert set(made.values()) == {1}, (name, made)
        told = sum(it.get("text") is not None for it in payloads)
        assert told == {"createApiKey": 1, "createDeployment": 1, "initiateUpload": 10}.get(name, 0)


async def test_of_different_calls_at_once_with_one_key_one_wins(owner: World) -> None:
    for name, (template, other) in MAKING.items():
        given = owned(template, owner.ids) | SAME
        calls = [call(owner.api, name, given | (other if number % 2 else {})) for number in range(10)]
        outcomes = [outcome(it) for it in await asyncio.gather(*calls)]
        even, odd = set(outcomes[::2]), set(outcomes[1::2])
        assert len(even) == len(odd) == 1, (name, outcomes)
        assert (even | odd) & {"IDEMPOTENCY_KEY_REUSED"}, (name, outcomes)
        assert even != odd, name


async def test_a_call_that_is_refused_leaves_its_key_free(owner: World) -> None:
    wrong = {"projectId": "prj_none", "datasetId": "ds_none", "name": " "}
    for name, (template, _) in MAKING.items():
        given = owned(template, owner.ids) | SAME
        assert (await call(owner.api, name, given | {k: v for k, v in wrong.items() if k in given}))[
            "userErrors"
        ]
        assert (await call(owner.api, name, given))["userErrors"] == [], name


async def test_a_fault_after_the_work_leaves_neither_the_work_nor_the_key(
    owner: World, database: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> None:
        raise RuntimeError("the process is killed before it commits")

    for name, (template, _) in MAKING.items():
        given, before = owned(template, owner.ids) | SAME, await snapshot(database)
        with monkeypatch.context() as patched:
            patched.setattr(SqlIdempotency, "remember", fail)
            (error,) = (await owner.api.raw(document(name), input=given))["errors"]
        assert error["extensions"]["code"] == "INTERNAL"
        assert await snapshot(database) == before, name
        assert (await call(owner.api, name, given))["userErrors"] == [], name


async def test_a_key_is_its_users_and_its_mutations_own(api: Api) -> None:
    made = [
        (await call(api, "createProject", {"name": "new"} | SAME))["project"]["id"],
        (await call(api.other, "createProject", {"name": "new"} | SAME))["project"]["id"],
        (await call(api, "createApiKey", {"name": "new"} | SAME))["apiKey"]["id"],
    ]
    assert len(set(made)) == 3


async def test_what_was_deleted_meanwhile_is_not_made_again(owner: World, database: AsyncEngine) -> None:
    given: dict[str, Any] = {"name": "new"} | SAME
    id = (await call(owner.api, "createProject", given))["project"]["id"]
    await owner.api.mutate("deleteProject", "deletedId", id=id)
    before = await snapshot(database)
    (error,) = (await call(owner.api, "createProject", given))["userErrors"]
    assert error["code"] == "NOT_FOUND"
    assert id in error["message"]
    assert await snapshot(database) == before


async def test_a_key_that_is_too_long_or_empty_is_refused(api: Api) -> None:
    for key in ("", " ", "k" * 201):
        (error,) = (await call(api, "createProject", {"name": "new", "idempotencyKey": key}))["userErrors"]
        assert (error["code"], error["field"]) == ("INVALID", ["idempotencyKey"])


async def test_keys_are_forgotten_after_a_day(api: Api, worker: Worker, database: AsyncEngine) -> None:
    given: dict[str, Any] = {"name": "new"} | SAME
    first = outcome(await call(api, "createProject", given))
    await worker.queue.configure_task(TIDY).defer_async(timestamp=0)
    await worker.drain()
    assert outcome(await call(api, "createProject", given)) == first
    async with database.begin() as connection:
        await connection.execute(text("update idempotency_keys set created_at = now() - interval '25 hours'"))
    await worker.queue.configure_task(TIDY).defer_async(timestamp=0)
    await worker.drain()
    assert outcome(await call(api, "createProject", given)) != first


class Forgetting(AsyncSession):
    """A session in the moment that another transaction forgets old keys."""

    async def scalar(self, *args: Any, **kwargs: Any) -> Any:
        made = await super().scalar(*args, **kwargs)
        if made is None:
            async with AsyncSession(self.bind) as other, other.begin():
                await SqlIdempotency(other).expire()
        return made


async def test_an_old_key_that_is_forgotten_while_it_is_looked_at_is_the_callers(
    api: Api, database: AsyncEngine
) -> None:
    await call(api, "createProject", {"name": "new"} | SAME)
    key = SAME["idempotencyKey"]
    async with database.begin() as connection:
        await connection.execute(text("update idempotency_keys set created_at = now() - interval '25 hours'"))
    async with Forgetting(database) as session, session.begin():
        assert await SqlIdempotency(session).claim(api.user_id, "createProject", key, "another input") is None
