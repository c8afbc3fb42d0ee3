"""The OpenAPI document: valid, complete, and in agreement with the page of the API."""

import re
from collections.abc import Iterator

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from app.settings import Settings
from app.wiring import VERSION, Wiring
from domain import ids
from domain.errors import Invalid
from domain.ids import Noun
from domain.services import Services
from domain.status_updates import StatusUpdate
from rest.webhook_bodies import read_status_update
from tests.clients import Api
from tests.openapi import Document, problems
from tests.routes import served
from tests.sample_data import NOW, create_sample_data

pytestmark = pytest.mark.anyio


@pytest.fixture
async def document(anonymous: httpx.AsyncClient) -> Document:
    response = await anonymous.get("/openapi.json")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    found: Document = response.json()
    return found


def operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    """Method, path and operation."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


async def test_the_document_is_valid_openapi(document: Document) -> None:
    assert [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()] == []
    assert document["info"]["version"] == VERSION


async def test_the_document_has_every_route_and_no_other(
    document: Document, wiring: Wiring, settings: Settings
) -> None:
    routes = {(method, path) for method, path in served(wiring, settings) if method != "WS"}
    routes |= {
        (method, path.replace("{project_id}/", "{project_id}/v1/"))
        for method, path in routes
        if path.startswith("/public/")
    }
    assert {(method, path) for method, path, _ in operations(document)} == routes


async def test_every_operation_describes_itself_and_its_path(document: Document) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(names)) == len(names)
    tags = {tag["name"] for tag in document["tags"]}
    for _, path, operation in operations(document):
        assert operation["summary"]
        assert set(operation["tags"]) <= tags
        parameters = operation.get("parameters", [])
        in_path = [parameter["name"] for parameter in parameters if parameter["in"] == "path"]
        assert in_path == re.findall(r"{(\w+)}", path)
        assert all(parameter["description"] for parameter in parameters)


async def test_every_response_has_the_id_of_its_request(document: Document) -> None:
    for _, _, operation in operations(document):
        for response in operation["responses"].values():
            assert "x-request-id" in response["headers"]


async def test_errors_have_the_shape_of_their_protocol(document: Document) -> None:
    shapes: dict[str, set[str]] = {"/api/": set(), "/public/": set()}
    for _, path, operation in operations(document):
        errors = [response for status, response in operation["responses"].items() if status >= "4"]
        for prefix, found in shapes.items():
            if path.startswith(prefix):
                found |= {response["content"]["application/json"]["schema"]["$ref"] for response in errors}
    assert shapes == {
        "/api/": {"#/components/schemas/Error"},
        "/public/": {"#/components/schemas/OpenAIError"},
    }


@pytest.mark.parametrize("noun", [Noun.PROJECT, Noun.DOCUMENT, Noun.DATASET, Noun.FINETUNE, Noun.DEPLOYMENT])
async def test_the_pattern_of_an_id_is_that_of_ids(document: Document, noun: Noun) -> None:
    name = f"{noun.lower()}_id"
    patterns = {
        parameter["schema"]["pattern"]
        for _, _, operation in operations(document)
        for parameter in operation.get("parameters", [])
        if parameter["name"] == name
    }
    (pattern,) = patterns
    assert all(re.search(pattern, ids.new(noun)) for _ in range(100))
    assert not re.search(pattern, ids.new(Noun.USER))


async def test_an_upload_is_answered_as_documented(document: Document, api: Api, services: Services) -> None:
    sample = await create_sample_data(services, api)
    operation = document["paths"]["/api/projects/{project_id}/files"]["post"]
    response = await api.rest.post(
        f"/api/projects/{sample.ids['Project']}/files",
        data={"kind": "dataset_upload"},
        files=[("files", ("t.csv", b"question,answer\nq,a", "text/csv"))],
    )
    described = operation["responses"][str(response.status_code)]
    assert problems(document, described, response.json()) == []
    assert problems(document, described, {"files": [{"id": 1}]}) != []


@pytest.mark.parametrize(
    ("body", "is_valid"),
    [
        ({"status": "DONE", "result": {"artifacts": []}}, True),
        ({"status": "RUNNING", "logs": "one text", "metrics": {"step": 3.0, "at": "2026-01-31T12:00:00Z"}}, True),
        ({"status": "RUNNING", "logs": ["several", "texts"], "progress": 0.5}, True),
        ({"status": "PAUSED"}, False),
        ({"status": "DONE", "result": {"model": "x"}}, False),
        ({"status": "RUNNING", "progress": 2}, False),
        ({"status": "RUNNING", "metrics": {"step": True}}, False),
        ({"status": "DONE", "result": {"artifacts": [{"filename": "a/b", "kind": "GGUF", "sha256": "0" * 64}]}}, False),
    ],
)  # fmt: skip
async def test_the_body_of_a_status_update_is_the_one_that_is_read(
    document: Document, body: Document, is_valid: bool
) -> None:
    for noun in ("training-datasets/{dataset_id}", "finetunes/{finetune_id}"):
        operation = document["paths"][f"/api/external/{noun}/update-status"]["put"]
        assert (problems(document, operation["requestBody"], body) == []) == is_valid
    try:
        assert isinstance(read_status_update(body, NOW), StatusUpdate) == is_valid
    except Invalid:
        assert not is_valid
