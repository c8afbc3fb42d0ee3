"""Runs every example of docs/workers.md in order, and compares its output with the page."""

import re
from dataclasses import replace

import pytest
from pydantic import BaseModel

from domain.artifacts import ArtifactKind
from domain.services import Services
from rest.errors import REASON_STATUS
from rest.webhook_bodies import _Artifact, _Metrics, _Result, _StatusUpdate
from tests.conftest import Worker
from tests.external import KEY
from tests.page_examples import Reader, examples
from tests.source_tree import ROOT

pytestmark = pytest.mark.anyio

PAGE = (ROOT / "docs" / "workers.md").read_text()
TABLES: dict[str, type[BaseModel]] = {
    "field": _StatusUpdate,
    "field of `metrics`": _Metrics,
    "field of `result`": _Result,
    "field of an artifact": _Artifact,
}


@pytest.fixture
def services(services: Services) -> Services:
    """The services, with a key for external workers."""
    return replace(services, external_api_key=KEY["x-api-key"])


async def test_every_example_of_the_workers_page_has_the_output_of_the_page(
    live: str, worker: Worker
) -> None:
    reader, found = Reader(live, {"APP_EXTERNAL_API_KEY": KEY["x-api-key"]}), list(examples(PAGE))
    assert {example.language for example in found} == {"graphql", "sh", "python"}
    for example in found:
        await reader.run(example)
        await worker.drain()


@pytest.mark.parametrize("header", TABLES)
def test_a_table_of_the_page_has_the_fields_of_the_body(header: str) -> None:
    rows = PAGE.partition(f"| {header} | value | |\n|---|---|---|\n")[2].partition("\n\n")[0]
    names = [name for row in rows.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])]
    assert names == list(TABLES[header].model_fields)


def test_the_page_has_every_kind_and_every_code_that_is_422() -> None:
    kinds = re.search(r"\| `kind` \| (.+?) \|", PAGE)
    assert kinds
    assert re.findall(r'"(\w+)"', kinds[1]) == list(ArtifactKind)
    codes = {
        code for row in re.findall(r"^\| 422 \| (.+?) \|", PAGE, re.MULTILINE) for code in row.split("`")
    }
    assert {code for code, status in REASON_STATUS.items() if status == 422} <= codes
