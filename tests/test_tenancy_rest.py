"""Tenancy over REST: no route takes or shows the objects of another user. A new route needs a case here."""

import json
from dataclasses import replace
from typing import Any

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.applications import Starlette

from app.asgi import add_routes
from app.settings import Settings
from app.wiring import Wiring
from domain.services import Services
from tests.clients import Api
from tests.external import KEY
from tests.routes import CASES, OPEN, Case, names, path_of, send
from tests.sample_data import (
    SampleData,
    create_sample_data,
    foreign_inputs,
    snapshot,
    unknown_ids,
    with_ids_of,
    without_ids,
)

pytestmark = pytest.mark.anyio
OTHERS = {"/graphql", "/public"}
"""Paths with tests of their own."""
EXTERNAL = "/api/external/"
"""Paths below it accept the key of external workers too."""
DOWNLOADS = [case for case in CASES if case[0] == "GET"]
NOT_EXTERNAL = "/api/external/finetunes/{finetune_id}/update-status"
"""A path that is a conflict for the owner too: Luthier's own worker trained the model."""
WRONG_KEY = {"x-api-key": "a wrong key"}


ENDPOINTS = [
    "models",
    "completions",
    "chat/completions",
    "v1/models",
    "v1/completions",
    "v1/chat/completions",
]
"""The endpoints of the gateway below a project."""


@pytest.fixture
def services(services: Services) -> Services:
    """The ports with a key for external workers."""
    return replace(services, external_api_key=KEY["x-api-key"])


@pytest.fixture
async def owner(api: Api, services: Services) -> SampleData:
    """The user whose objects are to be protected."""
    return await create_sample_data(services, api)


@pytest.fixture
async def other_user(api: Api, services: Services) -> SampleData:
    """Another user with objects of every noun."""
    return await create_sample_data(services, api.other)


def expected_of_owner(case: Case) -> int:
    """The status of the response to the owner."""
    return 409 if case[1] == NOT_EXTERNAL else 201 if case[1].endswith("/files") else 200


def test_every_path_of_the_application_is_tested_here(wiring: Wiring, settings: Settings) -> None:
    app: Any = Starlette()
    add_routes(app, wiring, settings)
    assert {route.path for route in app.routes} == {path for _, path in CASES} | OPEN | OTHERS


async def test_every_path_is_open_to_its_owner_alone(
    owner: SampleData, other_user: SampleData, anonymous: httpx.AsyncClient, database: AsyncEngine
) -> None:
    before, no_object = await snapshot(database), unknown_ids()
    seen, expected = {}, {}
    for case in CASES:
        for nouns, (foreign, missing) in foreign_inputs(names(case), other_user.ids, owner.ids, no_object):
            path = path_of(case, foreign, owner)
            status, body = await send(other_user.api.rest, case, path)
            _, of_missing = await send(other_user.api.rest, case, path_of(case, missing, owner))
            unauthenticated, _ = await send(anonymous, case, path)
            seen[case, nouns] = status, without_ids(body, owner.ids), unauthenticated
            expected[case, nouns] = 404, without_ids(of_missing, no_object), 401
    assert seen == expected
    assert await snapshot(database) == before
    for case in CASES:
        status, body = await send(
            owner.api.rest, case, path_of(case, with_ids_of(names(case), owner.ids), owner)
        )
        assert status == expected_of_owner(case), (case, body)


async def test_the_key_of_external_workers_opens_their_paths_alone(
    owner: SampleData, other_user: SampleData, anonymous: httpx.AsyncClient, database: AsyncEngine
) -> None:
    before = await snapshot(database)
    for case in CASES:
        path = path_of(case, with_ids_of(names(case), owner.ids), owner)
        status, body = await send(anonymous, case, path, KEY)
        assert status == (expected_of_owner(case) if case[1].startswith(EXTERNAL) else 401), (case, body)
        assert (await send(anonymous, case, path, WRONG_KEY))[0] == 401
        status, body = await send(other_user.api.rest, case, path, WRONG_KEY)
        assert status == (401 if case[1].startswith(EXTERNAL) else 404), (case, body)
    assert await snapshot(database) == before


async def ticket(sample: SampleData, path: str) -> str:
    """A user's ticket for a path."""
    data = await sample.api.gql("query($path: String!) { ticket(path: $path) { ticket } }", path=path)
    return str(data["ticket"]["ticket"])


async def test_a_ticket_opens_one_path_with_the_rights_of_its_user(
    owner: SampleData, other_user: SampleData, anonymous: httpx.AsyncClient
) -> None:
    assert DOWNLOADS
    other = f"/api/projects/{owner.ids['Project']}/other"
    for case in DOWNLOADS:
        path = path_of(case, with_ids_of(names(case), owner.ids), owner)
        tickets = {
            "owner's": await ticket(owner, path),
            "another user's": await ticket(other_user, path),
            "for another path": await ticket(owner, other),
            "forged": owner.api.token,
        }
        seen = {name: (await anonymous.get(f"{path}?ticket={tickets[name]}")).status_code for name in tickets}
        assert seen == {"owner's": 200, "another user's": 404, "for another path": 401, "forged": 401}, case


async def test_a_ticket_needs_a_signed_in_user(anonymous: httpx.AsyncClient) -> None:
    body = {"query": '{ ticket(path: "/api/projects/x") { ticket } }'}
    errors = (await anonymous.post("/graphql", json=body)).json()["errors"]
    assert [error["extensions"]["code"] for error in errors] == ["UNAUTHENTICATED"]


async def ask_gateway(
    client: httpx.AsyncClient, project_id: str, endpoint: str, secret: str, model: str
) -> tuple[int, str]:
    """The status and the body of the gateway's response."""
    method = "GET" if endpoint.endswith("models") else "POST"
    body = {"model": model, "prompt": "a question", "messages": [{"role": "user", "content": "a question"}]}
    headers = {"authorization": f"Bearer {secret}"} if secret else {}
    response = await client.request(method, f"/public/{project_id}/{endpoint}", json=body, headers=headers)
    return response.status_code, response.text


async def test_the_gateway_opens_a_project_to_its_own_keys_alone(
    owner: SampleData, other_user: SampleData, anonymous: httpx.AsyncClient, database: AsyncEngine
) -> None:
    before, project_id = await snapshot(database), owner.ids["Project"]
    for endpoint in ENDPOINTS:
        refused = [
            await ask_gateway(anonymous, project_id, endpoint, other_user.secret, owner.model_name),
            await ask_gateway(anonymous, project_id, endpoint, owner.api.token, owner.model_name),
            await ask_gateway(anonymous, other_user.ids["Project"], endpoint, owner.secret, owner.model_name),
            await ask_gateway(anonymous, unknown_ids()["Project"], endpoint, owner.secret, owner.model_name),
        ]
        assert {status for status, _ in refused} == {401}
        assert len(set(refused)) == 1
        assert (await ask_gateway(anonymous, project_id, endpoint, "", owner.model_name))[0] == 401
    assert await snapshot(database) == before


async def test_a_key_opens_no_model_but_that_of_its_deployment(
    owner: SampleData, other_user: SampleData, anonymous: httpx.AsyncClient
) -> None:
    project_id, statuses = other_user.ids["Project"], {}
    for endpoint in ENDPOINTS:
        for model in (owner.model_name, other_user.model_name):
            status, body = await ask_gateway(anonymous, project_id, endpoint, other_user.secret, model)
            statuses[endpoint, model] = status
            if status == 200:
                assert [model["id"] for model in json.loads(body)["data"]] == [other_user.model_name]
    expected = {
        (endpoint, model): 200 if endpoint.endswith("models") else status
        for endpoint in ENDPOINTS
        for model, status in ((owner.model_name, 404), (other_user.model_name, 502))
    }
    assert statuses == expected  # 502: authorized, but no model server runs here
