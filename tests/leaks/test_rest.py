"""Faults of REST routes and of the gateway are masked, and logged under the request's id."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError
from starlette.applications import Starlette
from starlette.routing import Mount

from domain.errors import Unavailable
from edge.request_ids import RequestIds
from infra.s3 import _translated
from rest.gateway import Gateway
from tests.breaking import Breaking
from tests.external import KEY
from tests.leaks.faults import FAULTS, MASKED, SECRET, faults_logged, leaks
from tests.rest.gateway_fakes import CHAT_REQUEST, ROUTE
from tests.routes import CASES, names, path_of, send
from tests.sample_data import SampleData, with_ids_of

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("error", FAULTS, ids=lambda error: type(error).__name__)
async def test_the_fault_of_a_rest_route_is_masked(
    owner: SampleData,
    anonymous: httpx.AsyncClient,
    ports: dict[str, Breaking],
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    for case in CASES:
        caplog.clear()
        path = path_of(case, with_ids_of(names(case), owner.ids), owner)
        ports["transactions"].error = error
        client, headers = owner.api.rest, {"x-request-id": "the-request"}
        if case[1].startswith("/api/external/"):
            client, headers = anonymous, headers | KEY
        status, body = await send(client, case, path, headers)
        ports["transactions"].error = None
        assert status == 500, (case, body)
        expected = {"detail": MASKED, "error_code": "INTERNAL", "context": {}}
        assert case[0] == "HEAD" or json.loads(body) == expected, case
        assert not leaks(body)
        (line,) = faults_logged(caplog, "the-request")
        assert SECRET in line["error"]


async def test_the_fault_of_the_storage_is_masked(owner: SampleData, ports: dict[str, Breaking]) -> None:
    with pytest.raises(Unavailable) as refused, _translated():
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": SECRET}}, "GetObject")
    project = f"/api/projects/{owner.ids['Project']}"
    path = f"{project}/documents/{owner.ids['Document']}/download"
    for error, status, code in (
        (refused.value, 503, "STORAGE_UNAVAILABLE"),
        (RuntimeError(SECRET), 500, "INTERNAL"),
    ):
        ports["storage"].error = error
        response = await owner.api.rest.get(path)
        assert (response.status_code, response.json()["error_code"]) == (status, code)
        assert not leaks(response.text)
        upload = await owner.api.rest.post(
            f"{project}/files",
            data={"kind": "dataset_upload"},
            files=[("files", ("t.csv", b"q,a\n1,2", "text/csv"))],
        )
        assert upload.status_code == status
        assert not leaks(upload.text)


async def test_the_fault_of_a_download_is_masked(
    owner: SampleData, ports: dict[str, Breaking], caplog: pytest.LogCaptureFixture
) -> None:
    async def read(*_: Any, **__: Any) -> AsyncIterator[bytes]:
        yield b"question,ans"
        raise RuntimeError(SECRET)

    real = ports["storage"].real
    ports["storage"].real = StorageWithRead(real, read)
    path = f"/api/projects/{owner.ids['Project']}/documents/{owner.ids['Document']}/download"
    response = await owner.api.rest.get(path, headers={"x-request-id": "the-download"})
    assert response.text in {"question,ans", ""} or response.status_code == 500
    assert not leaks(response.text)
    (line,) = faults_logged(caplog, "the-download")
    assert SECRET in line["error"]


class StorageWithRead:
    """A storage with another `read`."""

    def __init__(self, real: Any, read: Callable[..., AsyncIterator[bytes]]) -> None:
        self.real = real
        self.read = read

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


@pytest.mark.parametrize("error", FAULTS, ids=lambda error: type(error).__name__)
async def test_the_fault_of_the_gateway_is_masked(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    class FakeKeyTable:
        async def routes(self, *_: str) -> list[Any]:
            return [ROUTE]

        async def route(self, *_: str) -> Any:
            return ROUTE

    class FakeLogWriter:
        async def write(self, *_: Any) -> None:
            return

    for gateway in (
        Gateway(Breaking(error=error), Breaking(error=error), FakeLogWriter()),
        Gateway(FakeKeyTable(), Breaking(error=error), FakeLogWriter()),
    ):
        caplog.clear()
        transport = httpx.ASGITransport(RequestIds(Starlette(routes=[Mount("/public", gateway)])))
        async with httpx.AsyncClient(transport=transport, base_url="http://luthier.test") as client:
            headers = {"authorization": "Bearer lk_key"}
            response = await client.post("/public/prj_1/chat/completions", json=CHAT_REQUEST, headers=headers)
        assert (response.status_code, response.json()["error"]["type"]) == (500, "server_error")
        assert not leaks(response.text + str(response.headers))
        (line,) = faults_logged(caplog, response.headers["x-request-id"])
        assert SECRET in line["error"]
