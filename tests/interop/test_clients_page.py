"""Runs every example of docs/clients.md."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clients import Api
from tests.conftest import Worker
from tests.importing import CAPITALS, import_file, new_qa_dataset, upload
from tests.interop.running import (
    CLIENTS,
    FOLDER,
    NODE,
    PYTHON,
    Endpoint,
    check_installed,
    output,
    system_program,
)
from tests.interop.scripted_model import MODEL

pytestmark = pytest.mark.anyio

PAGE = (FOLDER.parents[1] / "docs" / "clients.md").read_text()
SECTION = re.compile(r"^## (.+?)$(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
EXAMPLE = re.compile(r"^### (.+?)$[^`]*(?:`[^`\n]+`[^`]*)*^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SERVER = "http://localhost:8000"
NAME_OF_MODEL = "luthier/tiny_capitals_v1"
PRINTED = {"Models": "The capital of Japan is Tokyo.\n", "GraphQL": "A User\n", "Downloads": ""}
MAX_LINES = 6
"""Lines of an example, without empty ones."""
OPENAI_VERSIONS = ("openai-1", "openai-2", "openai-3")


@dataclass(frozen=True, slots=True)
class Example:
    """A program of the page."""

    section: str
    client: str
    language: str
    text: str


def examples() -> Iterator[Example]:
    """The examples of the page, in order."""
    for section, body in SECTION.findall(PAGE):
        for client, language, text in EXAMPLE.findall(body):
            yield Example(section, client, language, text)


RUNS = [
    pytest.param(example, overlay, id=f"{example.client} {overlay}".strip())
    for example in examples()
    for overlay in (OPENAI_VERSIONS if example.client == "openai for Python" else [""])
]
"""Each example with the folder of packages that come first."""


@pytest.fixture
async def values(api: Api, worker: Worker, endpoint: Endpoint) -> dict[str, str]:
    """The values that replace those of the page."""
    server, _, project_id = endpoint.base_url.removesuffix("/v1").rpartition("/public/")
    dataset_id = await new_qa_dataset(api, project_id)
    await import_file(api, worker, dataset_id, CAPITALS)
    return {
        SERVER: server,
        NAME_OF_MODEL: MODEL,
        "prj_…": project_id,
        "lk_…": endpoint.api_key,
        "ds_…": dataset_id,
        "doc_…": await upload(api, project_id, CAPITALS, "capitals.csv"),
    }


@pytest.mark.parametrize(("example", "overlay"), RUNS)
async def test_an_example_of_the_page_runs(
    example: Example, overlay: str, api: Api, values: dict[str, str], tmp_path: Path
) -> None:
    check_installed()
    for program in PROGRAMS.get(example.client, ()):
        system_program(program)
    text = example.text
    for placeholder, value in values.items():
        text = text.replace(placeholder, value)
    path = f"{PYTHON.parent}{os.pathsep}{os.environ['PATH']}"
    variables = {"TOKEN": api.token, "PATH": path, "HOME": str(tmp_path)}
    if overlay:
        variables["PYTHONPATH"] = str(CLIENTS / overlay)
    words, folder = command(example.language, text, tmp_path)
    printed = await output(words, variables, folder)
    assert printed.endswith(PRINTED[example.section])
    assert files_in(tmp_path) >= FILES.get(example.client, set())


PROGRAMS = {"curl": ["curl"], "wget": ["wget"], "LibreOffice": ["curl", "soffice"]}
"""The programs of the system that an example runs."""
FILES = {
    "curl": {"capitals.csv", "part.csv"},
    "wget": {"capitals.csv", "part.csv"},
    "LibreOffice": {"table.xlsx", "table.ods"},
}
"""The files that an example makes."""


def command(language: str, text: str, folder: Path) -> tuple[list[str], Path]:
    """The command line of a program, and the folder in which it runs."""
    if language == "python":
        return [str(PYTHON), "-c", text], folder
    if language == "js":  # modules are found from the folder in which it runs
        return [str(NODE), "--input-type=module", "--eval", text], FOLDER / "node"
    assert language == "sh"
    return ["bash", "-euc", text], folder


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_an_example_is_short() -> None:
    lengths = {example.client: len(list(filter(None, example.text.splitlines()))) for example in examples()}
    assert {client: length for client, length in lengths.items() if length > MAX_LINES} == {}


def test_every_client_of_the_page_has_an_example() -> None:
    headings = re.findall(r"^### (.+)$", PAGE, re.MULTILINE)
    assert [example.client for example in examples()] == headings
    assert {example.section for example in examples()} == set(PRINTED)
