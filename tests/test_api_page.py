"""Runs every example of docs/api.md in order, and compares its output with the page."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from app.settings import Settings
from app.wiring import Wiring
from domain import ids
from domain.ids import Noun
from domain.rate_limits import DOCUMENTED
from domain.services import Services
from infra.rate_limiter import open_rate_limiter
from tests.clients import Api
from tests.conftest import Worker
from tests.external import KEY
from tests.fakes.runtime import FakeRuntime
from tests.page_examples import PROGRAMS, Reader, completed, examples
from tests.rest.gateway_fakes import CHAT, FakeModel, serving, whole
from tests.routes import names, path_of, served
from tests.sample_data import create_sample_data, with_ids_of
from tests.source_tree import ROOT

pytestmark = pytest.mark.anyio

PAGE = (ROOT / "docs" / "api.md").read_text()
TOKYO = "The capital of Japan is Tokyo."
ROW = re.compile(r"^\| ((?:`[A-Z]+`(?:, )?)+) \| `(/\S*)` \| ([^|]+) \|", re.MULTILINE)
"""A row of the table of paths: methods, path and credentials."""
VALUES = re.compile(r"`\?(\w+)=([\w\\|]+)`")
"""The name and the values of a query parameter in such a row."""
OPEN_TO = {
    "anyone": {"nobody", "bearer", "ticket", "worker"},
    "bearer": {"bearer"},
    "bearer or ticket": {"bearer", "ticket"},
    "bearer or worker's key": {"bearer", "worker"},
    "deployment's key": set(),
}
"""The credentials that are not refused with 401, by the page's words."""


@pytest.fixture
async def services(services: Services) -> AsyncIterator[Services]:
    """The ports with the rate limits of the page, and a key for external workers."""
    async with open_rate_limiter(DOCUMENTED, "memory://") as rate_limiter:
        yield replace(services, rate_limiter=rate_limiter, external_api_key=KEY["x-api-key"])


@pytest.fixture
async def model(wiring: Wiring, runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """A fake model server with one response in place of the fine-tuned model; `tests/test_main_job.py` uses a trained one."""
    choice = {"index": 0, "message": {"role": "assistant", "content": TOKYO}, "finish_reason": "stop"}
    fake = FakeModel()
    fake.respond = whole(200, CHAT | {"choices": [choice]})
    async with serving(fake) as url:
        runtime.base_url = f"{url}/v1"
        monkeypatch.setattr(wiring.gateway, "_runtime", runtime)
        yield


@pytest.mark.usefixtures("model")
async def test_every_example_of_the_api_page_has_the_output_of_the_page(live: str, worker: Worker) -> None:
    reader, found = Reader(live), list(examples(PAGE))
    assert {example.language for example in found} == {"graphql", "sh", *PROGRAMS}
    for example in found:
        await reader.run(example)
        await worker.drain()


def rows() -> list[tuple[str, str, str]]:
    """Method, path and credentials of each row of the page's table of paths."""
    return [
        (method, path, credentials)
        for methods, path, credentials in ROW.findall(PAGE)
        for method in re.findall(r"[A-Z]+", methods)
    ]


def listed_values() -> list[tuple[str, str, list[str]]]:
    """Path, name and values of each query parameter in the table."""
    return [
        (row[2], name, values.split(r"\|"))
        for row in ROW.finditer(PAGE)
        for name, values in VALUES.findall(PAGE[row.start() : PAGE.index("\n", row.start())])
    ]


SCHEMES: dict[str, list[Any]] = {
    "anyone": [[], [{}, {"bearer": []}]],
    "bearer": [[{"bearer": []}]],
    "bearer or ticket": [[{"bearer": []}, {"ticket": []}]],
    "bearer or worker's key": [[{"bearer": []}, {"workerKey": []}]],
    "deployment's key": [[{"deploymentKey": []}]],
}
"""What `security` may be in the OpenAPI document, by the page's words."""


async def test_the_openapi_document_has_the_credentials_and_values_of_the_page(
    anonymous: httpx.AsyncClient,
) -> None:
    paths = (await anonymous.get("/openapi.json")).json()["paths"]
    for method, path, words in rows():
        assert method == "WS" or paths[path][method.lower()]["security"] in SCHEMES[words]
    for path, name, values in listed_values():
        (parameter,) = [found for found in paths[path]["get"]["parameters"] if found["name"] == name]
        assert set(values) <= set(parameter["schema"]["enum"]), name
        assert set(parameter["schema"]["enum"]) - set(values) <= {"true", "false"}, name


async def test_every_value_of_a_parameter_on_the_page_is_accepted(api: Api, services: Services) -> None:
    sample = await create_sample_data(services, api)
    assert {name for _, name, _ in listed_values()} == {"format", "split", "items", "raw"}
    for path, name, values in listed_values():
        case = ("GET", path)
        url = path_of(case, with_ids_of(names(case), sample.ids), sample)
        found = {value: (await api.rest.get(url, params={name: value})).status_code for value in values}
        assert found == dict.fromkeys(values, 200), name
        assert (await api.rest.get(url, params={name: "none of them"})).status_code == 400


def test_the_page_has_every_path_of_the_application(wiring: Wiring, settings: Settings) -> None:
    assert sorted(row[:2] for row in rows()) == sorted(served(wiring, settings))


async def test_each_path_accepts_the_credentials_of_the_page(
    api: Api, anonymous: httpx.AsyncClient, services: Services
) -> None:
    seen: dict[tuple[str, str], set[str]] = {}
    for method, path, _ in rows():
        url = re.sub(
            r"{(\w+?)(_id)?}",
            lambda parameter: ids.new(Noun(parameter[1].capitalize())) if parameter[2] else parameter[1],
            path,
        )
        requests: dict[str, dict[str, Any]] = {
            "nobody": {},
            "bearer": {"headers": {"authorization": f"Bearer {api.token}"}},
            "ticket": {"params": {"ticket": services.tokens.ticket(api.user_id, url)[0]}},
            "worker": {"headers": KEY},
        }
        if method != "WS":
            statuses = {
                credential: (await anonymous.request(method, url, **arguments)).status_code
                for credential, arguments in requests.items()
            }
            seen[method, path] = {credential for credential, status in statuses.items() if status != 401}
    assert seen == {(method, path): OPEN_TO[words] for method, path, words in rows() if method != "WS"}


def test_a_difference_from_the_page_is_found() -> None:
    values: dict[str, str] = {}
    actual = {"id": "prj_1", "again": "prj_1", "name": "x", "time": "now"}
    expected = {"id": "prj_…", "again": "prj_…", "name": "x", "time": "…"}
    assert completed(expected, actual, values) == actual
    assert values == {"prj_…": "prj_1"}
    assert completed(expected, actual | {"again": "prj_2"}, {}) != actual | {"again": "prj_2"}
    assert completed(expected, actual | {"id": "ds_1"}, {}) != actual | {"id": "ds_1"}
    assert completed(expected, actual | {"more": 1}, {}) != actual | {"more": 1}
    assert completed(expected | {"…": "…"}, actual | {"more": 1}, {}) == actual | {"more": 1}
    assert completed([1], [1, 2], {}) != [1, 2]
    assert completed("put prj_… there", "put prj_1 there", {}) == "put prj_1 there"
    assert completed("put prj_… there", "put prj_1 here", {}) != "put prj_1 here"


def test_a_block_that_is_not_part_of_an_example_is_refused() -> None:
    for page in (
        "```graphql\n{ a }\n```\n",
        "```json\n{}\n```\n",
        "```ruby\na\n```\n```text output\na\n```\n",
    ):
        with pytest.raises(ValueError, match="not part of an example"):
            list(examples(page))
