"""Download tools and a spreadsheet on the files that users download."""

import csv
import hashlib
import io
import json
import random
from pathlib import Path

import pytest

from tests.clients import Api
from tests.conftest import Worker
from tests.importing import import_file, new_qa_dataset, upload
from tests.interop.running import output, system_program
from tests.jobs import new_project

pytestmark = pytest.mark.anyio

CONTENT = random.Random(2).randbytes(3_000_000)  # noqa: S311 - more than one chunk of the bucket's
EXPECTED = hashlib.sha256(CONTENT).hexdigest()
NAME = "Grüße und mehr.csv"
ROWS = [
    ("Grüße, 世界 🎉", 'She said "no", twice'),
    ("two\nlines", "=1+1"),
    ("+49 30 1234", "-x"),
    ("007", "1e5"),
    ("2026-01-02", "TRUE"),
    (" spaces ", "1,5"),
    ("'quoted'", "@SUM(A1)"),
]
"""Cells that a spreadsheet could take for something else than text."""
TO_CSV = "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,true,true,false"
"""Comma, quotation mark, UTF-8; all texts quoted."""
AS_TEXT = "CSV:44,34,76,1,1/2/2/2,0,true,false"
"""How a careful user opens a CSV: UTF-8, both columns as text."""


@pytest.fixture
async def download(api: Api, live: str) -> str:
    """The URL of an uploaded file."""
    project_id = await new_project(api)
    document_id = await upload(api, project_id, CONTENT, NAME)
    return f"{live}/api/projects/{project_id}/documents/{document_id}/download"


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def files_in(folder: Path) -> dict[str, str]:
    """The digests of the files in a folder, by their names."""
    return {path.name: digest(path) for path in folder.iterdir()}


async def test_curl_takes_the_name_of_the_file(api: Api, download: str, tmp_path: Path) -> None:
    words = [system_program("curl"), "-fsSOJ", "-H", f"Authorization: Bearer {api.token}", download]
    await output(words, {}, cwd=tmp_path)
    # curl reads no `filename*`
    assert files_in(tmp_path) == {"Gr__e_und_mehr.csv": EXPECTED}


async def test_curl_resumes_where_it_broke_off(api: Api, download: str, tmp_path: Path) -> None:
    path = tmp_path / "part.csv"
    words = [system_program("curl"), "-fsS", "-H", f"Authorization: Bearer {api.token}", "-o", str(path)]
    await output([*words, "-r", "0-999999", download], {})
    assert path.stat().st_size == 1_000_000
    written = await output([*words, "-C", "-", "-w", "%{http_code} %{size_download}", download], {})
    assert (written, digest(path)) == ("206 2000000", EXPECTED)


async def test_wget_takes_the_name_of_the_file(api: Api, download: str, tmp_path: Path) -> None:
    header = f"--header=Authorization: Bearer {api.token}"
    words = [
        system_program("wget"),
        "-nv",
        "--content-disposition",
        "--restrict-file-names=nocontrol",
        header,
    ]
    await output([*words, download], {"LC_ALL": "C.UTF-8"}, cwd=tmp_path)
    assert files_in(tmp_path) == {NAME: EXPECTED}


async def test_wget_resumes_where_it_broke_off(api: Api, download: str, tmp_path: Path) -> None:
    path = tmp_path / "part.csv"
    path.write_bytes(CONTENT[:1_000_000])
    header = f"--header=Authorization: Bearer {api.token}"
    await output([system_program("wget"), "-nv", "-c", header, "-O", str(path), download], {})
    assert digest(path) == EXPECTED
    await output(
        [system_program("wget"), "-nv", "-c", header, "-O", str(path), download], {}
    )  # nothing is missing


async def test_a_ticket_is_enough_for_a_link(api: Api, live: str, download: str, tmp_path: Path) -> None:
    query = "query($path: String!) { ticket(path: $path) { ticket } }"
    ticket = (await api.gql(query, path=download.removeprefix(live)))["ticket"]
    words = [
        system_program("curl"),
        "-fsS",
        "-o",
        str(tmp_path / "file"),
        f"{download}?ticket={ticket['ticket']}",
    ]
    await output(words, {})
    assert digest(tmp_path / "file") == EXPECTED


async def opened(path: Path, *options: str) -> list[tuple[str, ...]]:
    """The rows that LibreOffice has after it has opened a file."""
    folder = path.parent / "opened"
    profile = f"-env:UserInstallation=file://{path.parent}/profile"
    words = [
        system_program("soffice"),
        profile,
        "--headless",
        *options,
        "--convert-to",
        TO_CSV,
        "--outdir",
        str(folder),
        str(path),
    ]
    await output(words, {})
    return rows_of((folder / f"{path.stem}.csv").read_bytes())


def rows_of(table: bytes) -> list[tuple[str, ...]]:
    """The rows of a CSV."""
    return [tuple(row) for row in csv.reader(io.StringIO(table.decode("utf-8-sig"), newline=""))]


async def dataset_download(api: Api, worker: Worker) -> str:
    """The path of the download of a dataset that has the rows."""
    project_id = await new_project(api)
    dataset_id = await new_qa_dataset(api, project_id)
    lines = [json.dumps({"question": question, "answer": answer}) for question, answer in ROWS]
    await import_file(api, worker, dataset_id, "\n".join(lines), "table.jsonl")
    return f"/api/projects/{project_id}/training-datasets/{dataset_id}/download"


async def test_libreoffice_opens_the_csv_with_the_cells_as_they_are(
    api: Api, worker: Worker, tmp_path: Path
) -> None:
    path = await dataset_download(api, worker)
    table = tmp_path / "table.csv"
    table.write_bytes((await api.rest.get(path)).content)
    found = await opened(table, f"--infilter={AS_TEXT}")
    assert found == rows_of(table.read_bytes())  # formulas are guarded
    table.write_bytes((await api.rest.get(f"{path}?raw=1")).content)
    assert (await opened(table, f"--infilter={AS_TEXT}"))[1:] == ROWS


async def test_libreoffice_opens_the_xlsx_with_the_cells_as_they_are(
    api: Api, worker: Worker, tmp_path: Path
) -> None:
    path = await dataset_download(api, worker)
    table = tmp_path / "table.xlsx"
    response = await api.rest.get(f"{path}?format=xlsx")
    assert response.status_code == 200, response.text
    table.write_bytes(response.content)
    assert (await opened(table))[1:] == ROWS
