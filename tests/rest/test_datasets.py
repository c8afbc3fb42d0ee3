"""Downloads of datasets: what spreadsheets and programs read from them, and that they are streamed."""

import asyncio
import csv
import io
import json
from contextlib import aclosing
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp, Message

from app.wiring import Wiring
from domain.files.csv_writer import BOM
from domain.items import ItemSelection
from domain.services import Services
from rest.dataset_formats import CSV, items_as_text
from tests.clients import Api
from tests.conftest import Worker
from tests.importing import CAPITALS, csv_table, fetch_dataset, imported_dataset, items, new_qa_dataset

pytestmark = pytest.mark.anyio

TRICKY = 'question,answer\n"a, ""b""\nc",=SUM(A1)\n  ünï ,-3.5\n@x,😀\n'


async def download(api: Api, dataset_id: str, **params: str) -> httpx.Response:
    url = (await fetch_dataset(api, dataset_id, "downloadUrl"))["downloadUrl"]
    return await api.rest.get(url, params=params)


def rows(response: httpx.Response) -> list[list[str]]:
    text = response.content.decode("utf-8")
    assert text.startswith(BOM)
    return list(csv.reader(io.StringIO(text.removeprefix(BOM), newline=""), strict=True))


async def test_a_download_is_a_table_that_spreadsheets_open_rightly(api: Api, worker: Worker) -> None:
    dataset_id = await imported_dataset(api, worker, TRICKY, name="Größe & mehr")
    response = await download(api, dataset_id)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert response.headers["content-disposition"] == 'attachment; filename="Gr__e___mehr_v1.csv"'
    assert rows(response) == [
        ["question", "answer"],
        ['a, "b"\nc', "'=SUM(A1)"],
        ["  ünï ", "-3.5"],
        ["'@x", "😀"],
    ]


async def test_json_lines_keep_the_texts_as_they_are(api: Api, worker: Worker) -> None:
    response = await download(api, await imported_dataset(api, worker, TRICKY), format="jsonl")
    assert response.headers["content-type"] == "application/jsonl"
    assert [json.loads(line) for line in response.text.splitlines()] == [
        {"question": 'a, "b"\nc', "answer": "=SUM(A1)"},
        {"question": "  ünï ", "answer": "-3.5"},
        {"question": "@x", "answer": "😀"},
    ]


async def test_a_download_is_imported_as_the_same_items(api: Api, worker: Worker) -> None:
    first = await imported_dataset(api, worker, CAPITALS)
    again = await imported_dataset(api, worker, (await download(api, first)).content)
    hashes = [(await fetch_dataset(api, id, "contentHash"))["contentHash"] for id in (first, again)]
    assert hashes[0] == hashes[1]


async def test_a_download_holds_active_valid_or_all_items(api: Api, worker: Worker) -> None:
    dataset_id = await imported_dataset(api, worker, "question,answer\nOne?,1\nTwo?,\nThree?,3\nFour?,4\n")
    ids = [item["id"] for item in await items(api, dataset_id)]
    await api.mutate("deleteItems", "count", itemIds=[ids[2]])
    await api.mutate("correctItem", "item { id }", itemId=ids[3], values=["Four?", "IV"])
    active = [["One?", "1"], ["Two?", ""], ["Four?", "IV"]]
    assert rows(await download(api, dataset_id))[1:] == active
    assert rows(await download(api, dataset_id, items="ACTIVE"))[1:] == active
    assert rows(await download(api, dataset_id, items="valid"))[1:] == [["One?", "1"], ["Four?", "IV"]]
    assert rows(await download(api, dataset_id, items="all"))[1:] == [
        ["One?", "1"], ["Two?", ""], ["Three?", "3"], ["Four?", "4"], ["Four?", "IV"],
    ]  # fmt: skip


async def test_both_sides_of_the_split_make_up_the_whole(api: Api, worker: Worker) -> None:
    dataset_id = await imported_dataset(api, worker, csv_table(80))
    sides = [rows(await download(api, dataset_id, split=side))[1:] for side in ("train", "EVAL", "preview")]
    whole = rows(await download(api, dataset_id))[1:]
    assert len(whole) == 80
    assert sorted(sides[0] + sides[1]) == sorted(whole)
    assert sides[1]
    assert sides[2] == []


async def test_an_unknown_choice_is_refused_in_words(api: Api, worker: Worker) -> None:
    dataset_id = await imported_dataset(api, worker)
    for params, reason, detail in (
        (
            {"format": "parquet"},
            "UNSUPPORTED_FORMAT",
            "`format` is one of csv, jsonl, json, xlsx, openai, alpaca, sharegpt, trl, not 'parquet'.",
        ),
        ({"items": "some"}, "INVALID_PARAMETER", "`items` is one of active, valid, all, not 'some'."),
        ({"split": "test"}, "INVALID_PARAMETER", "`split` is one of PREVIEW, TRAIN, EVAL, not 'test'."),
    ):
        response = await download(api, dataset_id, **params)
        assert response.status_code == 400
        assert response.json() == {"detail": detail, "error_code": reason, "context": {}}


async def test_a_dataset_that_is_not_done_is_not_ready(api: Api) -> None:
    response = await download(api, await new_qa_dataset(api))
    assert (response.status_code, response.json()["error_code"]) == (409, "NOT_READY")
    assert response.json()["detail"] == "The dataset is PLANNING; it can be downloaded once it is DONE."


async def test_only_the_owner_downloads_and_only_from_its_project(
    api: Api, worker: Worker, anonymous: httpx.AsyncClient
) -> None:
    dataset_id = await imported_dataset(api, worker)
    url = (await fetch_dataset(api, dataset_id, "downloadUrl"))["downloadUrl"]
    elsewhere = (await fetch_dataset(api, await new_qa_dataset(api), "downloadUrl"))["downloadUrl"].split(
        "/"
    )[3]
    moved = url.replace(url.split("/")[3], elsewhere)
    responses: list[Any] = [
        await anonymous.get(url),
        await api.other.rest.get(url),
        await api.rest.get(moved),
        await api.rest.get(url.replace(dataset_id, "ds_garbage")),
    ]
    assert [response.status_code for response in responses] == [401, 404, 404, 404]
    assert {response.json()["error_code"] for response in responses[1:]} == {"DATASET_NOT_FOUND"}


async def test_a_ticket_opens_this_download_alone(
    api: Api, worker: Worker, services: Services, anonymous: httpx.AsyncClient
) -> None:
    url = (await fetch_dataset(api, await imported_dataset(api, worker), "downloadUrl"))["downloadUrl"]
    ticket, _ = services.tokens.ticket(api.user_id, url)
    elsewhere, _ = services.tokens.ticket(api.user_id, url + "/")
    assert (await anonymous.get(url, params={"ticket": ticket})).status_code == 200
    assert (await anonymous.get(url, params={"ticket": elsewhere})).status_code == 401


async def test_the_first_bytes_do_not_wait_for_the_last_row(
    api: Api, worker: Worker, services: Services
) -> None:
    dataset_id = await imported_dataset(api, worker, csv_table(5_000))
    async with services.transactions.begin() as store:
        dataset = await store.datasets.get(dataset_id, viewer_id=api.user_id)
    assert dataset is not None
    body = items_as_text(services.transactions, dataset, CSV, None, ItemSelection.ACTIVE)
    async with aclosing(body):
        assert await anext(body) == BOM + "question,answer\r\n"
        assert (await anext(body)).startswith("Question 0?,Answer 0\r\n")


async def test_a_client_that_leaves_frees_its_connection(
    api: Api, worker: Worker, application: ASGIApp, wiring: Wiring
) -> None:
    url = (await fetch_dataset(api, await imported_dataset(api, worker, csv_table(5_000)), "downloadUrl"))[
        "downloadUrl"
    ]
    busy, sent = wiring.engine.sync_engine.pool, asyncio.Event()
    checked_out: list[int] = []

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body" and message["body"].startswith(b"Question 0"):
            checked_out.append(busy.checkedout())  # type: ignore[attr-defined]  # the pool of an engine counts
            sent.set()
            await asyncio.Event().wait()  # it reads no further

    async def receive() -> Message:
        await sent.wait()
        return {"type": "http.disconnect"}

    scope = {
        "type": "http", "method": "GET", "path": url, "raw_path": url.encode(), "query_string": b"",
        "root_path": "", "headers": [(b"authorization", f"Bearer {api.token}".encode())], "asgi": {"version": "3.0"},
    }  # fmt: skip
    await application(scope, receive, send)
    assert checked_out == [1]
    assert busy.checkedout() == 0  # type: ignore[attr-defined]
