"""Downloads of datasets as .xlsx files: whole before they are sent, and gone afterwards."""

import io
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import httpx
import pytest
from openpyxl import load_workbook
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message

from app.wiring import Wiring
from domain.services import Services
from rest import xlsx_downloads
from tests.clients import Api
from tests.conftest import Worker
from tests.importing import csv_table, fetch_dataset, imported_dataset

pytestmark = pytest.mark.anyio

TEXTS = "question,answer\n=1+1,007\n'=a,2026-01-31\nhttps://example.org,-3.5\n"


async def url_of(api: Api, dataset_id: str) -> str:
    return str((await fetch_dataset(api, dataset_id, "downloadUrl"))["downloadUrl"])


async def download(api: Api, dataset_id: str, **params: str) -> httpx.Response:
    return await api.rest.get(await url_of(api, dataset_id), params={"format": "xlsx"} | params)


def rows(response: httpx.Response) -> list[list[Any]]:
    (sheet,) = load_workbook(io.BytesIO(response.content)).worksheets
    return [list(row) for row in sheet.iter_rows(values_only=True)]


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def test_a_download_has_every_value_as_text(api: Api, worker: Worker, services: Services) -> None:
    response = await download(api, await imported_dataset(api, worker, TEXTS, name="Größe & mehr"))
    assert response.status_code == 200
    assert response.headers["content-type"] == (
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    )
    assert response.headers["content-disposition"] == 'attachment; filename="Gr__e___mehr_v1.xlsx"'
    assert int(response.headers["content-length"]) == len(response.content)
    assert rows(response) == [
        ["question", "answer"],
        ["=1+1", "007"],
        ["'=a", "2026-01-31"],
        ["https://example.org", "-3.5"],
    ]
    assert files_in(services.work_folder) == {"workers.lock"}


async def test_a_download_of_several_batches_holds_the_chosen_items(api: Api, worker: Worker) -> None:
    dataset_id = await imported_dataset(api, worker, csv_table(1_100))
    whole = rows(await download(api, dataset_id))[1:]
    assert whole == [[f"Question {number}?", f"Answer {number}"] for number in range(1_100)]
    sides = [rows(await download(api, dataset_id, split=side))[1:] for side in ("train", "eval")]
    assert sides[1]
    assert sorted(sides[0] + sides[1]) == sorted(whole)


async def test_the_head_of_a_download_writes_no_file(
    api: Api, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(xlsx_downloads, "XlsxTable")
    url = await url_of(api, await imported_dataset(api, worker, name="table"))
    response = await api.rest.head(url, params={"format": "xlsx"})
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-disposition"] == 'attachment; filename="table_v1.xlsx"'


async def test_a_value_that_no_cell_holds_is_a_conflict(api: Api, worker: Worker, services: Services) -> None:
    dataset_id = await imported_dataset(api, worker, f"question,answer\na,b\nc,{'x' * 40_000}\n")
    response = await download(api, dataset_id)
    assert response.status_code == 409
    assert response.json() == {
        "detail": "An .xlsx file holds at most 32,767 characters in a cell (UTF-16 code units), and `answer` in "
        "row 2 has 40,000: download the dataset as csv or jsonl.",
        "error_code": "FORMAT_CANNOT_HOLD",
        "context": {"limit": 32_767, "actual": 40_000, "row": 2, "field": "answer"},
    }
    assert (await download(api, dataset_id, format="jsonl")).status_code == 200
    assert files_in(services.work_folder) == {"workers.lock"}


class Client:
    """An ASGI client that leaves when it is sent the body, or before the response starts."""

    def __init__(self, *, leaves_first: bool) -> None:
        self.messages: list[Message] = []
        self._leaves_first = leaves_first

    async def receive(self) -> Message:
        if self._leaves_first or self.messages:
            return {"type": "http.disconnect"}
        return {"type": "http.request"}

    async def send(self, message: Message) -> None:
        self.messages.append(message)
        if message["type"] == "http.response.body" and not self._leaves_first:
            raise OSError


@pytest.mark.parametrize("leaves_first", [True, False])
async def test_nothing_is_left_of_a_download_whose_client_leaves(
    api: Api, worker: Worker, application: ASGIApp, wiring: Wiring, services: Services, leaves_first: bool
) -> None:
    url = await url_of(api, await imported_dataset(api, worker))
    client = Client(leaves_first=leaves_first)
    scope = {
        "type": "http", "method": "GET", "path": url, "raw_path": url.encode(), "query_string": b"format=xlsx",
        "root_path": "", "headers": [(b"authorization", f"Bearer {api.token}".encode())],
        "asgi": {"version": "3.0", "spec_version": "2.4"},
    }  # fmt: skip
    pool: Any = wiring.engine.sync_engine.pool
    with nullcontext() if leaves_first else pytest.raises(ClientDisconnect):
        await application(scope, client.receive, client.send)
    assert client.messages[0].get("status") == (499 if leaves_first else 200)
    assert pool.checkedout() == 0
    assert files_in(services.work_folder) == {"workers.lock"}


async def test_no_connection_is_held_while_the_file_is_sent(
    api: Api, worker: Worker, application: ASGIApp, wiring: Wiring
) -> None:
    pool: Any = wiring.engine.sync_engine.pool
    checked_out: list[int] = []

    async def watching(scope: Any, receive: Any, send: Any) -> None:
        async def counted(message: Message) -> None:
            checked_out.append(pool.checkedout())
            await send(message)

        await application(scope, receive, counted)

    url = await url_of(api, await imported_dataset(api, worker))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(watching), base_url="http://luthier.test", headers=api.rest.headers
    ) as client:
        assert (await client.get(url, params={"format": "xlsx"})).status_code == 200
    assert checked_out
    assert set(checked_out) == {0}
