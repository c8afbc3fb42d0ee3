"""Results of external workers: JSON files in storage that become items."""

import json
from dataclasses import replace

import httpx
import pytest

from domain.ports.storage import StoredObject
from domain.services import Services
from tests.clients import Api
from tests.conversations import assistant, user
from tests.external import KEY, put_object, report_status
from tests.importing import fetch_dataset as shown_dataset
from tests.importing import new_qa_dataset
from tests.jobs import new_project

pytestmark = pytest.mark.anyio

ITEMS = """items(first: 10) { nodes { values isValid origin generationTimeSeconds
  source { sourceDocument start end document { id } } } }"""


@pytest.fixture
def services(services: Services) -> Services:
    """The services, with a key for external workers."""
    return replace(services, external_api_key=KEY["x-api-key"])


async def test_results_in_storage_become_items_once(
    api: Api, anonymous: httpx.AsyncClient, services: Services
) -> None:
    id = await new_qa_dataset(api)
    place = (await shown_dataset(api, id, "s3Path"))["s3Path"].split("/", 3)[3]
    entries = [
        {
            "values": {"question": "q1", "answer": "a1", "more": "x"}, "source_document": "law.pdf", "start": 5,
            "end": 9, "generation_time_seconds": 1.5,
        },
        {"values": {"question": "q2", "answer": 2}, "generation_time_seconds": 1},
    ]  # fmt: skip
    files = {"b.json": entries, "a.json": [{"values": {"question": "q0"}}]}
    for name, content in files.items():
        await put_object(services, place + name, json.dumps(content).encode())
    await put_object(services, place + "notes.txt", b"not a result")

    assert (await report_status(anonymous, id, "RUNNING")).json()["status"] == "RUNNING"
    for _ in range(3):
        assert (await report_status(anonymous, id, "DONE")).json()["status"] == "DONE"
    found = await shown_dataset(
        api, id, "origin fileCount generationTimeSeconds stats { total valid } " + ITEMS
    )
    nothing = {"origin": "GENERATED", "generationTimeSeconds": None, "source": None}
    assert found == {
        "origin": "GENERATED", "fileCount": 2, "generationTimeSeconds": 2.5, "stats": {"total": 3, "valid": 2},
        "items": {"nodes": [
            nothing | {"values": ["q0", ""], "isValid": False},
            nothing | {"values": ["q1", "a1"], "isValid": True, "generationTimeSeconds": 1.5, "source": {
                "sourceDocument": "law.pdf", "start": 5, "end": 9, "document": None}},
            nothing | {"values": ["q2", "2"], "isValid": True, "generationTimeSeconds": 1.0},
        ]},
    }  # fmt: skip


async def test_results_may_be_conversations_as_json_or_as_its_text(
    api: Api, anonymous: httpx.AsyncClient, services: Services
) -> None:
    created = await api.mutate(
        "createDataset", "dataset { id s3Path }", projectId=await new_project(api), itemFormat="CONVERSATION"
    )
    id, path = created["dataset"]["id"], created["dataset"]["s3Path"].split("/", 3)[3]
    messages = [user("Weather?"), assistant("Sunny.")]
    entries = [
        {"values": {"messages": messages, "tools": None, "parallel_tool_calls": False}},
        {"values": {"messages": json.dumps(messages[::-1])}},
        {"values": {"tools": []}},
    ]
    await put_object(services, path + "a.json", json.dumps(entries).encode())
    for status in ("RUNNING", "DONE"):
        assert (await report_status(anonymous, id, status)).status_code == 200
    found = await shown_dataset(api, id, "items { nodes { values isValid problems { code message } } }")
    order = "Message 1 (assistant) has no message before it that it answers; the first is the user's, after a system message."
    assert found["items"]["nodes"] == [
        {"values": [json.dumps(messages), "", "false"], "isValid": True, "problems": []},
        {
            "values": [json.dumps(messages[::-1]), "", ""], "isValid": False,
            "problems": [
                {"code": "CONVERSATION_INVALID", "message": order},
                {"code": "CONVERSATION_INVALID",
                 "message": "Message 2 (user) is the last; a conversation ends with an assistant message."},
            ],
        },
        {
            "values": ["", "[]", ""], "isValid": False,
            "problems": [{"code": "FIELD_MISSING", "message": "The field 'messages' is empty."}],
        },
    ]  # fmt: skip


@pytest.mark.parametrize(
    "content",
    [
        b"not JSON",
        b"{}",
        b"[1]",
        b'[{"values": []}]',
        b'[{"values": {"question": "q"}, "start": -1}]',
        b'[{"values": {"question": "q"}, "end": "x"}]',
        b'[{"values": {"question": "q"}, "source_document": 1}]',
        b'[{"values": {"question": "q"}, "generation_time_seconds": -1}]',
        b'[{"values": {"question": "q"}, "sourceDocument": "a.pdf"}]',
        b"[" * 100_000,
    ],
)
async def test_a_malformed_result_is_422_and_nothing_changes(
    api: Api, anonymous: httpx.AsyncClient, services: Services, content: bytes
) -> None:
    id = await new_qa_dataset(api)
    place = (await shown_dataset(api, id, "s3Path"))["s3Path"].split("/", 3)[3]
    await put_object(
        services, place + "a.json", json.dumps([{"values": {"question": "q", "answer": "a"}}]).encode()
    )
    await put_object(services, place + "b.json", content)
    response = await report_status(anonymous, id, "DONE")
    assert (response.status_code, response.json()["error_code"]) == (422, "UNPROCESSABLE")
    assert "b.json" in response.json()["detail"]
    assert await shown_dataset(api, id, "status stats { total }") == {
        "status": "PLANNING",
        "stats": {"total": 0},
    }


async def test_a_result_that_is_deleted_while_it_is_read_is_409(
    api: Api, anonymous: httpx.AsyncClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = await new_qa_dataset(api)
    place = (await shown_dataset(api, id, "s3Path"))["s3Path"].split("/", 3)[3]
    await put_object(services, place + "a.json", b"[]")
    keys = services.storage.keys

    async def keys_before_deletion(prefix: str) -> list[StoredObject]:
        found = await keys(prefix)
        monkeypatch.setattr(services.storage, "keys", keys)
        await services.storage.delete(place)
        return found

    monkeypatch.setattr(services.storage, "keys", keys_before_deletion)
    response = await report_status(anonymous, id, "DONE")
    assert (response.status_code, response.json()["error_code"]) == (409, "RUN_CHANGED")
