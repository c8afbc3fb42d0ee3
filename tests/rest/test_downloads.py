"""Downloads of uploads: the bytes as they came, whole or in part."""

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.ports.storage import Storage
from domain.services import Services
from rest.file_responses import RangeNotSatisfiable, byte_range, content_disposition
from tests.clients import Api
from tests.external import put_object
from tests.importing import upload
from tests.jobs import new_project

pytestmark = pytest.mark.anyio

CONTENT = random.Random(1).randbytes(1_500_000)  # noqa: S311 - more than one chunk
SIZE = len(CONTENT)


@pytest.fixture
async def url(api: Api) -> str:
    project_id = await new_project(api)
    id = await upload(api, project_id, CONTENT, "Grüße und mehr.csv")
    return f"/api/projects/{project_id}/documents/{id}/download"


async def test_the_upload_comes_back_as_it_was(api: Api, url: str) -> None:
    response = await api.rest.get(url)
    assert response.status_code == 200
    assert hashlib.sha256(response.content).digest() == hashlib.sha256(CONTENT).digest()
    expected = {
        "content-type": "text/csv",
        "content-length": str(SIZE),
        "accept-ranges": "bytes",
        "etag": f'"{hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()}"',
        "x-content-type-options": "nosniff",
        "content-disposition": 'attachment; filename="Gr__e_und_mehr.csv"; '
        "filename*=UTF-8''Gr%C3%BC%C3%9Fe%20und%20mehr.csv",
    }
    assert {name: response.headers[name] for name in expected} == expected


async def test_head_tells_the_size_without_the_bytes(api: Api, url: str) -> None:
    response = await api.rest.head(url)
    assert (response.status_code, response.headers["content-length"], response.content) == (
        200,
        str(SIZE),
        b"",
    )


@pytest.mark.parametrize(
    ("range_header", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=5-9", 5, 9),
        ("bytes=1499990-", SIZE - 10, SIZE - 1),
        ("bytes=-3", SIZE - 3, SIZE - 1),
        ("bytes=-9999999", 0, SIZE - 1),
        ("bytes=0-9999999", 0, SIZE - 1),
    ],
)
async def test_a_range_gives_that_part(api: Api, url: str, range_header: str, first: int, last: int) -> None:
    response = await api.rest.get(url, headers={"range": range_header})
    assert (response.status_code, response.content) == (206, CONTENT[first : last + 1])
    assert response.headers["content-range"] == f"bytes {first}-{last}/{SIZE}"
    assert response.headers["content-length"] == str(last - first + 1)


@pytest.mark.parametrize("range_header", ["bytes=1500000-", "bytes=-0", "bytes=99999999-99999999"])
async def test_a_range_past_the_end_is_416(api: Api, url: str, range_header: str) -> None:
    response = await api.rest.get(url, headers={"range": range_header})
    assert (response.status_code, response.json()["error_code"]) == (416, "RANGE_NOT_SATISFIABLE")
    assert response.headers["content-range"] == f"bytes */{SIZE}"


@pytest.mark.parametrize(
    "range_header", ["lines=1-2", "bytes=5-1", "bytes=-", "bytes=1-2,4-5", "bytes=a-b", "bytes"]
)
async def test_what_is_no_single_range_gives_all(api: Api, url: str, range_header: str) -> None:
    assert (await api.rest.head(url, headers={"range": range_header})).headers["content-length"] == str(SIZE)


async def test_conditions_are_kept(api: Api, url: str) -> None:
    etag = (await api.rest.head(url)).headers["etag"]
    for known in (etag, f"W/{etag}", f'"x", {etag}', "*"):
        assert (await api.rest.get(url, headers={"if-none-match": known})).status_code == 304
    assert (await api.rest.head(url, headers={"if-none-match": '"x"'})).status_code == 200
    part = {"range": "bytes=0-1"}
    assert (await api.rest.get(url, headers=part | {"if-range": etag})).status_code == 206
    assert (await api.rest.head(url, headers=part | {"if-range": '"x"'})).status_code == 200


async def test_an_upload_that_is_not_complete_cannot_be_downloaded(api: Api) -> None:
    project_id = await new_project(api)
    initiated = await api.mutate(
        "initiateUpload",
        "document { id }",
        projectId=project_id,
        fileName="t.csv",
        fileType="",
        kind="DATASET_UPLOAD",
    )
    response = await api.rest.get(
        f"/api/projects/{project_id}/documents/{initiated['document']['id']}/download"
    )
    assert (response.status_code, response.json()["error_code"]) == (409, "NOT_READY")


async def test_only_the_owner_gets_it_and_only_under_its_project(
    api: Api, anonymous: httpx.AsyncClient, url: str
) -> None:
    assert (await anonymous.get(url)).status_code == 401
    assert (await api.other.rest.get(url)).status_code == 404
    assert (await api.rest.get(url.replace(url.split("/")[3], await new_project(api)))).status_code == 404
    assert (await api.rest.get(url.replace("doc_", "doc_x"))).status_code == 404


async def test_other_bytes_in_the_place_of_an_upload_are_not_given_as_the_upload(
    api: Api, services: Services, url: str
) -> None:
    key = f"documents/{url.split('/')[-2]}/Gr__e_und_mehr.csv"
    await put_object(services, key, CONTENT[:-1])  # until it was read, its size is all that is known of it
    response = await api.rest.get(url)
    assert (response.status_code, response.json()["error_code"]) == (409, "FILE_CHANGED")
    await put_object(services, key, CONTENT)
    assert (await api.rest.get(url)).content == CONTENT


async def test_bytes_that_storage_lost_are_404_and_no_broken_answer(
    api: Api, services: Services, url: str
) -> None:
    await services.storage.delete(f"documents/{url.split('/')[-2]}/")
    response = await api.rest.get(url)
    assert (response.status_code, response.json()["error_code"]) == (404, "OBJECT_NOT_FOUND")


class ObservedStorage:
    """A storage that sets `closed` when the reading of an object ends, for whatever reason."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.stalls = False
        self.closed = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    async def read(
        self, key: str, start: int = 0, end: int | None = None, *, etag: str | None = None
    ) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._storage.read(key, start, end, etag=etag):
                yield chunk
                if self.stalls:
                    await asyncio.Event().wait()
        finally:
            self.closed.set()


@pytest.fixture
def services(services: Services) -> Services:
    """The services, with an `ObservedStorage`."""
    return replace(services, storage=ObservedStorage(services.storage))


async def test_a_client_that_leaves_stops_the_reading(
    api: Api, services: Services, live: str, url: str
) -> None:
    storage: Any = services.storage
    storage.stalls = True
    async with httpx.AsyncClient(base_url=live, headers=api.rest.headers) as client:
        async with client.stream("GET", url) as response:
            await anext(response.aiter_raw())
        async with asyncio.timeout(10):
            await storage.closed.wait()


@given(content=st.binary(max_size=50), first=st.integers(0, 60), last=st.none() | st.integers(0, 60))
def test_a_range_is_what_slicing_gives(content: bytes, first: int, last: int | None) -> None:
    header = f"bytes={first}-{'' if last is None else last}"
    if last is not None and last < first:
        assert byte_range(header, len(content)) is None
    elif first >= len(content):
        with pytest.raises(RangeNotSatisfiable):
            byte_range(header, len(content))
    else:
        found = byte_range(header, len(content))
        assert found is not None
        assert content[found[0] : found[1] + 1] == content[first : None if last is None else last + 1]


@given(content=st.binary(min_size=1, max_size=50), length=st.integers(1, 60))
def test_a_suffix_range_is_what_slicing_gives(content: bytes, length: int) -> None:
    found = byte_range(f"bytes=-{length}", len(content))
    assert found is not None
    assert content[found[0] : found[1] + 1] == content[-length:]


@given(header=st.text(max_size=120))
def test_no_range_header_is_a_fault(header: str) -> None:
    found: Any = None
    try:
        found = byte_range(header, 10)
    except RangeNotSatisfiable:
        return
    assert found is None or 0 <= found[0] <= found[1] < 10


@given(name=st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_name_can_be_sent_in_a_header(name: str) -> None:
    assert content_disposition(name).isascii()
    assert "\n" not in content_disposition(name)
