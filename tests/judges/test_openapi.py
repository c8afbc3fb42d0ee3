"""Schemathesis: random requests, generated from the OpenAPI document, against the running server."""

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.wiring import Wiring
from domain.services import Services
from tests.clients import Api
from tests.external import KEY
from tests.fakes.runtime import FakeRuntime
from tests.openapi import problems
from tests.rest.gateway_fakes import FakeModel, serving
from tests.sample_data import SampleData, create_sample_data

pytestmark = pytest.mark.anyio

PROGRAM = Path(sys.executable).parent / "schemathesis"
SECONDS = 30
SEED = 3
CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "positive_data_acceptance", "unsupported_method", "allow_header_conformance",
    "missing_required_header", "negative_data_rejection", "ignored_auth",
)  # fmt: skip
SKIPPED = ("/", "/graphiql", "/graphiql/assets/{name}", "/openapi.json")
"""Files that a checkout has only after a build, which have tests of their own, and the document itself."""
UNPREDICTABLE = (
    "/graphql", "/api/projects/{project_id}/files",
    *(f"/public/{{project_id}}/{path}" for path in ("chat/completions", "completions", "v1/chat/completions", "v1/completions")),
)  # fmt: skip
"""Paths with rules that a schema cannot express, such as what a GraphQL document and the name of a file may be."""
ACCEPTED = ("2xx", "3xx", "401", "403", "404", "409", "416", "429")
"""The statuses of a request that the document allows: 416 depends on the size of a file."""
REFUSED = {
    ("POST", "/api/projects/{project_id}/files"),  # the names of random files have no type that is accepted
    ("PUT", "/api/external/finetunes/{finetune_id}/update-status"),  # Luthier's own worker trained the model
    ("POST", "/api/external/finetunes/{finetune_id}/update-status"),
    ("POST", "/public/{project_id}/chat/completions"),  # most random messages have a null as their content
    ("POST", "/public/{project_id}/v1/chat/completions"),
}
"""Operations without a success; other tests compare them with the document."""
NOUNS = ("Project", "Document", "Dataset", "Finetune", "Deployment")


@pytest.fixture
def services(services: Services) -> Services:
    """The ports with a key for external workers."""
    return replace(services, external_api_key=KEY["x-api-key"])


@pytest.fixture
async def model(wiring: Wiring, runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """A model server with one response to everything."""
    async with serving(FakeModel()) as url:
        runtime.base_url = f"{url}/v1"
        monkeypatch.setattr(wiring.gateway, "_runtime", runtime)
        yield


@pytest.mark.timeout(4 * SECONDS)
@pytest.mark.usefixtures("model")
async def test_random_requests_are_answered_as_documented(
    live: str, api: Api, services: Services, tmp_path: Path
) -> None:
    document = (await api.rest.get("/openapi.json")).json()
    sample = await create_sample_data(services, api)
    (tmp_path / "schemathesis.toml").write_text(configuration(sample))
    exchanges = await judged(f"{live}/openapi.json", tmp_path)
    succeeded = set(successes(exchanges, document["paths"]))
    operations = {
        (method.upper(), path)
        for path, methods in document["paths"].items()
        for method in methods
        if path not in SKIPPED
    }
    assert operations - succeeded <= REFUSED


@pytest.mark.usefixtures("model")
async def test_a_chat_is_answered_as_documented(api: Api, services: Services) -> None:
    document = (await api.rest.get("/openapi.json")).json()
    sample = await create_sample_data(services, api)
    chat = document["paths"]["/public/{project_id}/chat/completions"]["post"]
    client, url = api.rest, f"/public/{sample.ids['Project']}/chat/completions"
    client.headers["authorization"] = f"Bearer {sample.secret}"
    message = {"role": "user", "content": "Hello?"}
    for body, status in (
        ({"model": sample.model_name, "messages": [message], "temperature": 1, "stop": "."}, 200),
        ({"model": sample.model_name, "messages": [{"role": "wizard"}]}, 400),
        ({"model": sample.model_name, "messages": [message], "n": 9}, 400),
        ({"messages": [message]}, 404),
    ):
        response = await client.post(url, json=body)
        assert response.status_code == status, response.text
        assert problems(document, chat["responses"][str(status)], response.json()) == []
        assert (problems(document, chat["requestBody"], body) == []) == (status == 200)


async def judged(url: str, folder: Path) -> Sequence[Mapping[str, Any]]:
    """The requests that Schemathesis sent, with their responses, as entries of an HTTP archive."""
    archive = folder / "exchanges.har"
    process = await asyncio.create_subprocess_exec(
        PROGRAM, "run", url, "--max-time", str(SECONDS), "--seed", str(SEED), "--phases", "coverage,fuzzing",
        "--continue-on-failure", "--no-shrink", "--no-color",
        "--generation-database", "none", "--report", "har", "--report-har-path", archive,
        cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    entries: list[Mapping[str, Any]] = json.loads(archive.read_text())["log"]["entries"]
    return entries


def successes(exchanges: Sequence[Mapping[str, Any]], paths: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Method and path of each request that succeeded."""
    patterns = {
        path: re.compile(r"http://[^/]+" + re.sub(r"{\w+}", "[^/?]+", path) + r"(\?.*)?") for path in paths
    }
    for exchange in exchanges:
        request, status = exchange["request"], exchange["response"]["status"]
        if 200 <= status < 300:
            found = [path for path, pattern in patterns.items() if pattern.fullmatch(request["url"])]
            yield request["method"], min(found, key=lambda path: path.count("{"))


def configuration(sample: SampleData) -> str:
    """Credentials of the four kinds but tickets, and values that exist for most requests."""
    dictionaries = {f"path.{noun.lower()}_id": [sample.ids[noun]] for noun in NOUNS} | {
        "path.filename": [sample.filename],
        "body.model": [sample.model_name],
        "path.model": [sample.model_name],
        "header.Range": ["bytes=0-3", "bytes=-1", "bytes=1000000-"],
        "header.Last-Event-ID": ["0", "2"],
    }
    names = {place: f"values-{index}" for index, place in enumerate(dictionaries)}
    return "\n".join(
        [
            f"auth.openapi.bearer.bearer = {json.dumps(sample.api.token)}",
            f"auth.openapi.deploymentKey.bearer = {json.dumps(sample.secret)}",
            f"auth.openapi.workerKey.api_key = {json.dumps(KEY['x-api-key'])}",
            "[dictionaries]",
            *(f"{names[place]}.values = {json.dumps(values)}" for place, values in dictionaries.items()),
            "[parameters]",
            *(f'"{place}" = {{ dictionary = "{name}", probability = 0.8 }}' for place, name in names.items()),
            "[checks]",
            "enabled = false",
            *(f"{check}.enabled = true" for check in CHECKS),
            f"positive_data_acceptance.expected-statuses = {json.dumps(ACCEPTED)}",
            "[[operations]]",
            f"include-path = {json.dumps(SKIPPED)}",
            "enabled = false",
            "[[operations]]",
            f"include-path = {json.dumps(UNPREDICTABLE)}",
            f"checks.positive_data_acceptance.expected-statuses = {json.dumps([*ACCEPTED, '400'])}",
        ]
    )
