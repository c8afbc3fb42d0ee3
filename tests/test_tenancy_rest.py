"""Nobody reaches what is another's over REST. The routes say what there is: what is new needs a case here."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.types import ASGIApp

from app.asgi import REST
from domain.services import Services
from tests.clients import Api
from tests.external import KEY
from tests.world import Of, World, masked, owned, plant, snapshot, trespasses, unknown

pytestmark = pytest.mark.anyio

OPEN = {"/", "/health", "/graphiql", "/graphiql/assets/{name}"}
"""Paths that anyone may ask."""
TESTED_APART = {"/graphql", "/public"}
EXTERNAL = "/api/external/"
"""What is below it may be called with the key of the user's own workers too."""

Case = tuple[str, str]
ROUTES = {(method, route.path): route for it in REST for route in it.ROUTES for method in route.methods or ()}
CASES = sorted(it for it in ROUTES if it[1] not in OPEN)
DOWNLOADS = [it for it in CASES if it[0] == "GET"]
SENT: dict[str, dict[str, Any]] = {
    "/api/projects/{project_id}/files": {
        "data": {"kind": "dataset_upload"},
        "files": [("files", ("t.csv", b"question,answer\nq,a", "text/csv"))],
    },
    "/api/external/training-datasets/{dataset_id}/update-status": {"json": {"status": "DONE"}},
    "/api/external/finetunes/{finetune_id}/update-status": {"json": {"status": "DONE"}},
}
"""The body for each path that takes one."""
NOT_EXTERNAL = "/api/external/finetunes/{finetune_id}/update-status"
"""Where its owner is refused too, with 409: Luthier trained the model itself."""
WRONG_KEY = {"x-api-key": "a wrong key"}

ENDPOINTS = [
    "models",
    "completions",
    "chat/completions",
    "v1/models",
    "v1/completions",
    "v1/chat/completions",
]
"""What the gateway answers below a project."""


@pytest.fixture
def services(services: Services) -> Services:
    """The same ports, with a key for external workers."""
    return replace(services, external_api_key=KEY["x-api-key"])


@pytest.fixture
async def owner(api: Api, services: Services) -> World:
    """Who has something to lose."""
    return await plant(services, api)


@pytest.fixture
async def stranger(api: Api, services: Services) -> World:
    """Who has as much, but nothing of the owner's."""
    return await plant(services, api.other)


def names(case: Case) -> dict[str, Of | str]:
    """What the parameters of a path name: objects by their noun, and a file."""
    parameters = ROUTES[case].param_convertors
    return {it: Of(it.removesuffix("_id").capitalize()) if it.endswith("_id") else it for it in parameters}


def path_of(case: Case, given: Mapping[str, str], world: World) -> str:
    """The path with its parameters."""
    return case[1].format_map({**given, "filename": world.filename})


async def send(
    client: httpx.AsyncClient, case: Case, path: str, headers: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """The status and the body of the answer."""
    method, template = case
    assert (template in SENT) == (method in {"POST", "PUT"})
    reply = await client.request(method, path, headers=headers, **SENT.get(template, {}))
    return reply.status_code, reply.text


def expected_of_owner(case: Case) -> int:
    """The status that the owner is answered with."""
    return 409 if case[1] == NOT_EXTERNAL else 201 if case[1].endswith("/files") else 200


def test_every_path_of_the_application_is_tested_here(application: ASGIApp) -> None:
    app: Any = application
    assert {it.path for it in app._app._app.routes} == {path for _, path in CASES} | OPEN | TESTED_APART


async def test_every_path_answers_its_owner_alone(
    owner: World, stranger: World, anonymous: httpx.AsyncClient, database: AsyncEngine
) -> None:
    before, nothing = await snapshot(database), unknown()
    seen, expected = {}, {}
    for case in CASES:
        for what, (theirs, missing) in trespasses(names(case), stranger.ids, owner.ids, nothing):
            path = path_of(case, theirs, owner)
            status, body = await send(stranger.api.rest, case, path)
            same = await send(stranger.api.rest, case, path_of(case, missing, owner))
            turned_away, _ = await send(anonymous, case, path)
            seen[case, what] = status, masked(body, owner.ids), turned_away
            expected[case, what] = 404, masked(same[1], nothing), 401
    assert seen == expected
    assert await snapshot(database) == before
    for case in CASES:
        status, body = await send(owner.api.rest, case, path_of(case, owned(names(case), owner.ids), owner))
        assert status == expected_of_owner(case), (case, body)


async def test_the_workers_key_opens_what_is_for_workers_alone(
    owner: World, stranger: World, anonymous: httpx.AsyncClient, database: AsyncEngine
) -> None:
    before = await snapshot(database)
    for case in CASES:
        path = path_of(case, owned(names(case), owner.ids), owner)
        status, body = await send(anonymous, case, path, KEY)
        assert status == (expected_of_owner(case) if case[1].startswith(EXTERNAL) else 401), (case, body)
        assert (await send(anonymous, case, path, WRONG_KEY))[0] == 401
        status, body = await send(stranger.api.rest, case, path, WRONG_KEY)
        assert status == (401 if case[1].startswith(EXTERNAL) else 404), (case, body)
    assert await snapshot(database) == before


async def ticket(world: World, path: str) -> str:
    """A ticket of a user's for a path."""
    made = await world.api.gql("query($path: String!) { ticket(path: $path) { ticket } }", path=path)
    return str(made["ticket"]["ticket"])


async def test_a_ticket_opens_one_path_for_who_made_it(
    owner: World, stranger: World, anonymous: httpx.AsyncClient
) -> None:
    assert DOWNLOADS
    other = f"/api/projects/{owner.ids['Project']}/other"
    for case in DOWNLOADS:
        path = path_of(case, owned(names(case), owner.ids), owner)
        opened = {
            "owner's": await ticket(owner, path),
            "stranger's": await ticket(stranger, path),
            "for another path": await ticket(owner, other),
            "forged": owner.api.token,
        }
        seen = {it: (await anonymous.get(f"{path}?ticket={opened[it]}")).status_code for it in opened}
        assert seen == {"owner's": 200, "stranger's": 404, "for another path": 401, "forged": 401}, case


async def test_nobody_makes_a_ticket(anonymous: httpx.AsyncClient) -> None:
    body = {"query": '{ ticket(path: "/api/projects/x") { ticket } }'}
    errors = (await anonymous.post("/graphql", json=body)).json()["errors"]
    assert [it["extensions"]["code"] for it in errors] == ["UNAUTHENTICATED"]


async def ask_gateway(
    client: httpx.AsyncClient, project_id: str, endpoint: str, secret: str, model: str
) -> tuple[int, str]:
    """The status and the body of the gateway's answer."""
    method = "GET" if endpoint.endswith("models") else "POST"
    body = {"model": model, "prompt": "a question", "messages": [{"role": "user", "content": "a question"}]}
    headers = {"authorization": f"Bearer {secret}"} if secret else {}
    reply = await client.request(method, f"/public/{project_id}/{endpoint}", json=body, headers=headers)
    return reply.status_code, reply.text


async def test_the_gateway_opens_a_project_to_its_own_keys_alone(
    owner: World, stranger: World, anonymous: httpx.AsyncClient, database: AsyncEngine
) -> None:
    before, project_id = await snapshot(database), owner.ids["Project"]
    for endpoint in ENDPOINTS:
        refused = [
            await ask_gateway(anonymous, project_id, endpoint, stranger.secret, owner.model_name),
            await ask_gateway(anonymous, project_id, endpoint, owner.api.token, owner.model_name),
            await ask_gateway(anonymous, stranger.ids["Project"], endpoint, owner.secret, owner.model_name),
            await ask_gateway(anonymous, unknown()["Project"], endpoint, owner.secret, owner.model_name),
        ]
        assert {status for status, _ in refused} == {401}
        assert len(set(refused)) == 1
        assert (await ask_gateway(anonymous, project_id, endpoint, "", owner.model_name))[0] == 401
    assert await snapshot(database) == before


async def test_a_key_asks_no_model_but_its_own(
    owner: World, stranger: World, anonymous: httpx.AsyncClient
) -> None:
    project_id, statuses = stranger.ids["Project"], {}
    for endpoint in ENDPOINTS:
        for model in (owner.model_name, stranger.model_name):
            status, body = await ask_gateway(anonymous, project_id, endpoint, stranger.secret, model)
            statuses[endpoint, model] = status
            if status == 200:
                assert [it["id"] for it in json.loads(body)["data"]] == [stranger.model_name]
    expected = {
        (endpoint, model): 200 if endpoint.endswith("models") else status
        for endpoint in ENDPOINTS
        for model, status in ((owner.model_name, 404), (stranger.model_name, 503))
    }
    assert statuses == expected  # 503: let through, and no model server runs here
