"""Downloads of request logs."""

import csv
import io
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from domain import ids
from domain.ids import Noun
from domain.request_logs import RequestLog
from domain.services import Services
from tests.clients import Api
from tests.finetuning import new_project

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


async def deployed(api: Api) -> tuple[str, str]:
    """A deployment's id and the path of its download."""
    given = {"projectId": await new_project(api), "modelName": "meta/llama 3"}
    made = await api.mutate("createDeployment", "deployment { id logsDownloadUrl }", **given)
    return made["deployment"]["id"], made["deployment"]["logsDownloadUrl"]


async def log(services: Services, deployment_id: str, *exchanges: tuple[str, str | None]) -> None:
    logs = [
        RequestLog(
            id=ids.new(Noun.REQUEST_LOG),
            deployment_id=deployment_id,
            api_key_id=None,
            date=NOON + timedelta(seconds=number),
            endpoint="chat/completions",
            input=input,
            output=output,
            status=200,
            latency_ms=1.0,
        )
        for number, (input, output) in enumerate(exchanges)
    ]
    async with services.transactions.begin() as store:
        await store.request_logs.add_many(logs)


async def test_the_requests_are_rows_of_a_csv_oldest_first(api: Api, services: Services) -> None:
    id, path = await deployed(api)
    await log(services, id, ("Zürich, wo?", "In der\nSchweiz"), ('say "hi"', None))
    response = await api.rest.get(path)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert response.headers["content-disposition"] == 'attachment; filename="meta_llama_3_logs.csv"'
    assert response.content.startswith(b"\xef\xbb\xbfdate,input,output\r\n")
    assert list(csv.reader(io.StringIO(response.content.decode("utf-8-sig"), newline=""))) == [
        ["date", "input", "output"],
        ["2026-01-01T12:00:00.000+00:00", "Zürich, wo?", "In der\nSchweiz"],
        ["2026-01-01T12:00:01.000+00:00", 'say "hi"', ""],
    ]


async def test_what_a_caller_wrote_does_not_run_as_a_formula(api: Api, services: Services) -> None:
    id, path = await deployed(api)
    await log(services, id, ("=HYPERLINK(1)", "@cmd"))
    response = await api.rest.get(path)
    assert response.content.decode().endswith(",'=HYPERLINK(1),'@cmd\r\n")


async def test_more_rows_than_one_fetch_all_come(api: Api, services: Services) -> None:
    id, path = await deployed(api)
    await log(services, id, *((f"question {number}", "x" * 100) for number in range(1203)))
    lines = (await api.rest.get(path)).content.decode().splitlines()
    assert len(lines) == 1204
    assert [line.split(",")[1] for line in lines[1:]] == [f"question {number}" for number in range(1203)]


async def test_anothers_log_is_not_found_and_nobodys_needs_a_token(
    api: Api, anonymous: httpx.AsyncClient
) -> None:
    id, path = await deployed(api)
    elsewhere = await new_project(api, "elsewhere")
    for client, url, status, reason in (
        (anonymous, path, 401, "UNAUTHENTICATED"),
        (api.other.rest, path, 404, "DEPLOYMENT_NOT_FOUND"),
        (api.rest, f"/api/projects/{elsewhere}/deployments/{id}/logs_download", 404, "DEPLOYMENT_NOT_FOUND"),
        (api.rest, path.replace(id, "garbage"), 404, "DEPLOYMENT_NOT_FOUND"),
    ):
        response = await client.get(url)
        assert (response.status_code, response.json()["error_code"]) == (status, reason)
