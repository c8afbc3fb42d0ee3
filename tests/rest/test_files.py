"""Uploads as a multipart form: one or many, streamed, all or none."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from domain.documents import UploadLimits
from domain.services import Services
from tests.clients import Api
from tests.jobs import new_project

pytestmark = pytest.mark.anyio

KIB = 1_024
CSV = ("table.csv", b"q,a\n1,2\n", "text/csv")


@pytest.fixture
def services(services: Services) -> Services:
    """The services, with small limits."""
    return replace(services, limits=UploadLimits(file_bytes=64 * KIB, project_bytes=150 * KIB))


async def send(api: Api, project_id: str, *files: Any, kind: str | None = "dataset_upload") -> httpx.Response:
    return await api.rest.post(
        f"/api/projects/{project_id}/files",
        data={} if kind is None else {"kind": kind},
        files=[("files", file) for file in files],
    )


async def documents(api: Api, project_id: str) -> Any:
    query = "query($id: ID!) { project(id: $id) { documents { nodes { filename } } } }"
    return (await api.gql(query, id=project_id))["project"]["documents"]["nodes"]


async def stored(services: Services) -> set[str]:
    return {stored_object.key for stored_object in await services.storage.keys("documents/")}


async def test_many_files_are_kept_under_their_clean_names(api: Api, services: Services) -> None:
    response = await send(api, await new_project(api), CSV, ("../../Ünï.csv", b"a,b\nc,d\n", "text/csv"))
    assert response.status_code == 201
    files = response.json()["files"]
    assert [file | {"id": "", "created_at": ""} for file in files] == [
        {
            "id": "", "filename": name, "kind": "dataset_upload", "status": "processing", "mime_type": "text/csv",
            "size_bytes": 8, "created_at": "",
        }
        for name in ("table.csv", "Ünï.csv")
    ]  # fmt: skip
    found = await services.storage.head(f"documents/{files[1]['id']}/_n_.csv")
    assert found is not None
    assert found.size == 8


@pytest.mark.parametrize("kind", ["raw_doc", "RAW_DOC"])
async def test_the_kind_may_come_in_any_case(api: Api, kind: str) -> None:
    response = await send(api, await new_project(api), ("a.pdf", b"%PDF-", "application/pdf"), kind=kind)
    assert response.json()["files"][0]["kind"] == "raw_doc"


async def test_the_kind_may_stand_in_the_query(api: Api) -> None:
    url = f"/api/projects/{await new_project(api)}/files?kind=dataset_upload"
    assert (await api.rest.post(url, files=[("files", CSV)])).status_code == 201


def form(*parts: str) -> bytes:
    return (
        "".join(f"--X\r\nContent-Disposition: form-data; {part}\r\n" for part in parts).encode()
        + b"--X--\r\n"
    )


FILE = 'name="files"; filename="table.csv"\r\n\r\nq,a\n1,2\n'
HEADERS = {"content-type": "multipart/form-data; boundary=X"}


async def test_the_kind_may_come_after_the_files(api: Api) -> None:
    body = form(FILE, 'name="other"\r\n\r\nnobody reads this', 'name="kind"\r\n\r\ndataset_upload')
    url = f"/api/projects/{await new_project(api)}/files"
    response = await api.rest.post(url, content=body, headers=HEADERS)
    assert (response.status_code, response.json()["files"][0]["mime_type"]) == (201, "text/csv")


async def test_a_form_may_arrive_byte_by_byte_and_with_text_after_its_end(
    api: Api, services: Services
) -> None:
    async def body() -> AsyncIterator[bytes]:
        for byte in form('name="kind"\r\n\r\ndataset_upload', FILE) + b"epilogue":
            yield bytes([byte])

    url = f"/api/projects/{await new_project(api)}/files"
    response = await api.rest.post(url, content=body(), headers=HEADERS)
    assert (response.status_code, response.json()["files"][0]["size_bytes"]) == (201, 8)
    stored = await services.storage.head(f"documents/{response.json()['files'][0]['id']}/table.csv")
    assert stored is not None
    assert stored.size == 8


async def test_a_file_name_that_is_not_utf_8_is_kept_with_replacements(api: Api) -> None:
    body = form('name="kind"\r\n\r\ndataset_upload', FILE).replace(b"table.csv", b"t\xe4ble.csv")
    url = f"/api/projects/{await new_project(api)}/files"
    response = await api.rest.post(url, content=body, headers=HEADERS)
    assert response.json()["files"][0]["filename"] == "t\ufffdble.csv"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (form(f'name="files"; filename="{"x" * 5_000}.csv"\r\n\r\nq,a'), "INVALID_MULTIPART"),
        (form('name="files"\r\n' + "X-Header: x\r\n" * 10 + "\r\nq,a"), "INVALID_MULTIPART"),
        (form(*['name="other"\r\n\r\nx'] * 1_001), "INVALID_MULTIPART"),
        (form('name="kind"\r\n\r\nraw_doc'), "FILE_REQUIRED"),
        (form(FILE), "INVALID_KIND"),
        (form(FILE, 'name="kind"\r\n\r\nvideo'), "INVALID_KIND"),
        (form(FILE, 'name="kind"\r\n\r\n' + "x" * 300), "INVALID_MULTIPART"),
        (form(FILE, 'name="kind"\r\n\r\nraw_doc', FILE.replace("csv", "exe")), "UNSUPPORTED_FILE_TYPE"),
        (form(FILE.replace("files", "upload")), "UNKNOWN_FIELD"),
        (form(FILE.replace("table.csv", "..")), "INVALID_FILE_NAME"),
        (form(FILE)[:-20], "INVALID_MULTIPART"),
        (b"--Y\r\nnonsense", "INVALID_MULTIPART"),
        (b"", "INVALID_MULTIPART"),
    ],
)
async def test_an_invalid_form_is_400_and_leaves_nothing(
    api: Api, services: Services, body: bytes, reason: str
) -> None:
    before, project_id = await stored(services), await new_project(api)
    response = await api.rest.post(f"/api/projects/{project_id}/files", content=body, headers=HEADERS)
    assert (response.status_code, response.json()["error_code"]) == (400, reason)
    assert await documents(api, project_id) == []
    assert await stored(services) == before


async def test_one_bad_file_keeps_the_others_out(api: Api, services: Services) -> None:
    before, project_id = await stored(services), await new_project(api)
    response = await send(api, project_id, CSV, ("empty.csv", b"", "text/csv"))
    assert (response.status_code, response.json()["error_code"]) == (400, "FILE_EMPTY")
    assert await documents(api, project_id) == []
    assert await stored(services) == before


async def test_more_files_than_a_hundred_are_413(api: Api, services: Services) -> None:
    before, project_id = await stored(services), await new_project(api)
    response = await send(api, project_id, *[("a.csv", b"q,a", "text/csv")] * 101)
    assert (response.status_code, response.json()["error_code"]) == (413, "TOO_MANY_FILES")
    assert await stored(services) == before


async def test_too_large_a_file_is_413_before_it_has_come_in(api: Api, services: Services) -> None:
    before, project_id, sent = await stored(services), await new_project(api), 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        yield form(FILE)[: -len(b"\n--X--\r\n")]
        for _ in range(1_000):
            sent += KIB
            yield b"x" * KIB

    response = await api.rest.post(f"/api/projects/{project_id}/files", content=body(), headers=HEADERS)
    assert (response.status_code, response.json()["error_code"]) == (413, "FILE_TOO_LARGE")
    assert response.json()["context"] == {"limitBytes": 64 * KIB}
    assert sent < 100 * KIB
    assert await stored(services) == before


async def test_a_full_project_takes_no_more(api: Api, services: Services) -> None:
    project_id, file = await new_project(api), ("a.csv", b"x" * 60 * KIB, "text/csv")
    assert (await send(api, project_id, file, file)).status_code == 201
    before = await stored(services)
    response = await send(api, project_id, file)
    assert (response.status_code, response.json()["error_code"]) == (413, "PROJECT_FULL")
    assert response.json()["context"] == {"limitBytes": 150 * KIB, "presentBytes": 120 * KIB}
    assert await stored(services) == before
    assert len(await documents(api, project_id)) == 2


class UnreadableBody:
    """A body whose reading fails the test."""

    def __aiter__(self) -> "UnreadableBody":
        return self

    async def __anext__(self) -> bytes:
        raise AssertionError("The body was read.")


async def test_a_length_that_is_announced_as_too_much_is_refused_unread(api: Api) -> None:
    headers = HEADERS | {"content-length": str(10**10)}
    url = f"/api/projects/{await new_project(api)}/files"
    assert (await api.rest.post(url, content=UnreadableBody(), headers=headers)).status_code == 413


async def test_anothers_project_is_404_and_its_body_is_not_read(api: Api) -> None:
    url = f"/api/projects/{await new_project(api)}/files"
    assert (await api.other.rest.post(url, content=UnreadableBody(), headers=HEADERS)).status_code == 404


async def test_what_is_no_form_is_415(api: Api) -> None:
    url = f"/api/projects/{await new_project(api)}/files"
    for headers in ({"content-type": "text/csv"}, {"content-type": "multipart/form-data"}, {}):
        response = await api.rest.post(url, content=b"q,a\n", headers=headers)
        assert (response.status_code, response.json()["error_code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "identity, br"])
async def test_a_compressed_form_is_415_and_is_not_read(api: Api, coding: str) -> None:
    url = f"/api/projects/{await new_project(api)}/files"
    for headers in (HEADERS, {"content-type": "text/csv"}):
        response = await api.rest.post(
            url, content=UnreadableBody(), headers=headers | {"content-encoding": coding}
        )
        assert (response.status_code, response.json()["error_code"]) == (415, "BODY_COMPRESSED")
        assert response.headers["accept-encoding"] == "identity"


async def test_nobody_uploads_without_signing_in(anonymous: httpx.AsyncClient) -> None:
    assert (await anonymous.post("/api/projects/x/files", files=[("files", CSV)])).status_code == 401


async def test_a_client_that_leaves_midway_leaves_nothing(api: Api, services: Services, live: str) -> None:
    before, project_id = await stored(services), await new_project(api)

    async def body() -> AsyncIterator[bytes]:
        yield form('name="kind"\r\n\r\ndataset_upload', FILE)[: -len(b"--X--\r\n")]
        raise ConnectionAbortedError

    async with httpx.AsyncClient(base_url=live, headers=api.rest.headers) as client:
        with pytest.raises(ConnectionAbortedError):
            await client.post(f"/api/projects/{project_id}/files", content=body(), headers=HEADERS)
    assert await documents(api, project_id) == []
    assert await stored(services) == before
