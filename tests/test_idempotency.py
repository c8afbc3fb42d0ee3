"""Calls with idempotency keys: a repeated call has the result of the first one."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from graphql import get_named_type
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from domain.services import Services
from infra.db.idempotency import SqlIdempotency
from infra.queue import EXPIRE
from tests.clients import Api
from tests.conftest import Worker
from tests.introspection import MUTATIONS, ids_in, mutation, takes
from tests.sample_data import IdOf, SampleData, create_sample_data, snapshot, with_ids_of

pytestmark = pytest.mark.anyio

PROJECT = IdOf("Project")
CREATING: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
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
        {"projectId": PROJECT, "baseModelName": "luthier/tiny", "trainingDatasetId": IdOf("Dataset")},
        {"seed": 5},
    ),
    "importDataset": ({"datasetId": IdOf("Dataset"), "documentId": IdOf("Document")}, {"format": "JSONL"}),
    "createDeployment": (
        {"projectId": PROJECT, "finetuneId": IdOf("Finetune"), "modelName": "new"},
        {"modelName": "another"},
    ),
    "createApiKey": ({"name": "new"}, {"expiresAt": "2100-01-01T00:00:00Z"}),
}
"""The input of each mutation that creates an object, and what a different call changes in it."""
WITHOUT_KEY = {"register", "completeUpload", "correctItem", "resolveModel", "complete"}
"""An account is created once for each address, a read job once for each upload, a correction once for each item, a
base model once for each name, and a completion is not stored."""
CHANGING = ("update", "delete", "restore", "cancel", "revoke", "login")
TEXTS = {"apiKey", "secret", "uploadUrl"}
"""Fields of payloads with secrets; the calls here alias them `text`."""
KEY = {"idempotencyKey": "the same key"}
KEYS_TABLE = "idempotency_keys"


def test_every_mutation_that_creates_an_object_takes_a_key() -> None:
    creating = {name for name in MUTATIONS if not name.startswith(CHANGING)} - WITHOUT_KEY
    assert creating == CREATING.keys() == {name for name in MUTATIONS if takes(name, "idempotencyKey")}


@pytest.fixture
async def owner(api: Api, services: Services) -> SampleData:
    """A user with an object of every noun."""
    return await create_sample_data(services, api)


def document(name: str) -> str:
    """The mutation, with the fields of `TEXTS` as `text`."""
    payload: Any = get_named_type(MUTATIONS[name].type)
    texts = [
        f"text: {name}"
        for name, field in payload.fields.items()
        if name in TEXTS and str(field.type) == "String"
    ]
    return mutation(name).replace("userErrors {", f"{' '.join(texts)} userErrors {{")


async def call(api: Api, name: str, given: dict[str, Any]) -> dict[str, Any]:
    """The payload of a call."""
    return dict((await api.gql(document(name), input=given))[name])


def outcome(payload: dict[str, Any]) -> str:
    """The ids in a payload, or the reason of its error."""
    errors = payload["userErrors"]
    return errors[0]["reason"] if errors else " ".join(sorted(ids_in(payload)))


async def row_counts(database: AsyncEngine) -> Counter[str]:
    """The number of rows of each table, those of the queue too."""
    return Counter(name for name, _ in await snapshot(database) if name != KEYS_TABLE)


async def test_a_repeated_call_changes_nothing_and_has_the_same_result(
    owner: SampleData, database: AsyncEngine
) -> None:
    for name, (template, _) in CREATING.items():
        given = with_ids_of(template, owner.ids) | KEY
        before = await row_counts(database)
        first = await call(owner.api, name, given)
        after = await snapshot(database)
        second = await call(owner.api, name, given)
        assert await row_counts(database) > before, name
        assert await snapshot(database) == after, name
        assert outcome(first) == outcome(second) != "", (first, second)
        assert first.get("text", "none") is not None, name
        assert second.get("text") is None or name == "initiateUpload", name


async def test_a_different_call_with_the_same_key_is_refused(
    owner: SampleData, database: AsyncEngine
) -> None:
    for name, (template, other) in CREATING.items():
        given = with_ids_of(template, owner.ids) | KEY
        assert (await call(owner.api, name, given))["userErrors"] == [], name
        before = await snapshot(database)
        (error,) = (await call(owner.api, name, given | other))["userErrors"]
        assert (error["code"], error["reason"]) == ("CONFLICT", "IDEMPOTENCY_KEY_REUSED"), name
        assert error["field"] == ["idempotencyKey"]
        assert await snapshot(database) == before, name


async def test_ten_concurrent_calls_create_one_object_and_all_get_it(
    owner: SampleData, database: AsyncEngine
) -> None:
    for name, (template, _) in CREATING.items():
        given, before = with_ids_of(template, owner.ids), await row_counts(database)
        payloads = await asyncio.gather(*(call(owner.api, name, given | KEY) for _ in range(10)))
        added = await row_counts(database) - before
        assert len(set(map(outcome, payloads))) == 1, name
        assert added.pop("finetune_items", 3) == 3  # one for each of the dataset's items
        assert set(added.values()) == {1}, (name, added)
        with_secret = sum(payload.get("text") is not None for payload in payloads)
        assert with_secret == {"createApiKey": 1, "createDeployment": 1, "initiateUpload": 10}.get(name, 0)


async def test_of_different_concurrent_calls_with_one_key_one_succeeds(owner: SampleData) -> None:
    for name, (template, other) in CREATING.items():
        given = with_ids_of(template, owner.ids) | KEY
        calls = [call(owner.api, name, given | (other if number % 2 else {})) for number in range(10)]
        outcomes = [outcome(payload) for payload in await asyncio.gather(*calls)]
        even, odd = set(outcomes[::2]), set(outcomes[1::2])
        assert len(even) == len(odd) == 1, (name, outcomes)
        assert (even | odd) & {"IDEMPOTENCY_KEY_REUSED"}, (name, outcomes)
        assert even != odd, name


async def test_a_refused_call_does_not_use_up_its_key(owner: SampleData) -> None:
    wrong = {"projectId": "prj_none", "datasetId": "ds_none", "name": " "}
    for name, (template, _) in CREATING.items():
        given = with_ids_of(template, owner.ids) | KEY
        assert (
            await call(
                owner.api, name, given | {name: value for name, value in wrong.items() if name in given}
            )
        )["userErrors"]
        assert (await call(owner.api, name, given))["userErrors"] == [], name


async def test_a_fault_before_the_commit_rolls_back_the_object_and_the_key(
    owner: SampleData, database: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> None:
        raise RuntimeError("the process is killed before it commits")

    for name, (template, _) in CREATING.items():
        given, before = with_ids_of(template, owner.ids) | KEY, await snapshot(database)
        with monkeypatch.context() as patched:
            patched.setattr(SqlIdempotency, "record_result", fail)
            (error,) = (await owner.api.raw(document(name), input=given))["errors"]
        assert error["extensions"]["code"] == "INTERNAL"
        assert await snapshot(database) == before, name
        assert (await call(owner.api, name, given))["userErrors"] == [], name


async def test_a_key_is_valid_for_one_user_and_one_mutation(api: Api) -> None:
    made = [
        (await call(api, "createProject", {"name": "new"} | KEY))["project"]["id"],
        (await call(api.other, "createProject", {"name": "new"} | KEY))["project"]["id"],
        (await call(api, "createApiKey", {"name": "new"} | KEY))["apiKey"]["id"],
    ]
    assert len(set(made)) == 3


async def test_an_object_that_was_deleted_is_not_created_again(
    owner: SampleData, database: AsyncEngine
) -> None:
    given: dict[str, Any] = {"name": "new"} | KEY
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


async def test_keys_expire_after_a_day(api: Api, worker: Worker, database: AsyncEngine) -> None:
    given: dict[str, Any] = {"name": "new"} | KEY
    first = outcome(await call(api, "createProject", given))
    await worker.queue.configure_task(EXPIRE).defer_async(timestamp=0)
    await worker.drain()
    assert outcome(await call(api, "createProject", given)) == first
    async with database.begin() as connection:
        await connection.execute(text("update idempotency_keys set created_at = now() - interval '25 hours'"))
    await worker.queue.configure_task(EXPIRE).defer_async(timestamp=0)
    await worker.drain()
    assert outcome(await call(api, "createProject", given)) != first


class ExpiringSession(AsyncSession):
    """A session in which old keys are deleted by another transaction after each insert that found one."""

    async def scalar(self, *args: Any, **kwargs: Any) -> Any:
        inserted = await super().scalar(*args, **kwargs)
        if inserted is None:
            async with AsyncSession(self.bind) as other, other.begin():
                await SqlIdempotency(other).expire()
        return inserted


async def test_an_old_key_that_is_deleted_while_it_is_claimed_is_claimed_anew(
    api: Api, database: AsyncEngine
) -> None:
    await call(api, "createProject", {"name": "new"} | KEY)
    key = KEY["idempotencyKey"]
    async with database.begin() as connection:
        await connection.execute(text("update idempotency_keys set created_at = now() - interval '25 hours'"))
    async with ExpiringSession(database) as session, session.begin():
        assert await SqlIdempotency(session).claim(api.user_id, "createProject", key, "another input") is None
