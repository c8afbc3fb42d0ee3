"""The routes of the REST API, and how each is called."""

import re
from collections.abc import Mapping
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.routing import Mount, Route, WebSocketRoute

from app.asgi import REST, add_routes
from app.settings import Settings
from app.wiring import Wiring
from domain import ids
from domain.ids import Noun
from rest.gateway._endpoints import ENDPOINTS
from tests.sample_data import (
    IdOf,
    SampleData,
)

OPEN = {"/", "/health", "/openapi.json", "/graphiql", "/graphiql/assets/{name}"}
"""Paths without authentication."""


PARAMETER = re.compile(r"{(\w+?)(_id)?}")
Case = tuple[str, str]
ROUTES = {
    (method, route.path): route
    for module in REST
    for route in module.ROUTES
    for method in route.methods or ()
}
CASES = sorted(case for case in ROUTES if case[1] not in OPEN)
EVERY_ROUTE = sorted(
    {
        *ROUTES,
        ("GET", "/graphql"),
        ("POST", "/graphql"),
        *(
            (method, f"/public/{{project_id}}/{version}{endpoint}")
            for endpoint, method in ENDPOINTS.items()
            for version in ("", "v1/")
        ),
    }
)
"""Those of GraphQL and of the gateway too."""
SENT: dict[str, dict[str, Any]] = {
    "/api/projects/{project_id}/files": {
        "data": {"kind": "dataset_upload"},
        "files": [("files", ("t.csv", b"question,answer\nq,a", "text/csv"))],
    },
    "/api/external/training-datasets/{dataset_id}/update-status": {"json": {"status": "DONE"}},
    "/api/external/finetunes/{finetune_id}/update-status": {"json": {"status": "DONE"}},
}
"""The body for each path that has one."""


def names(case: Case) -> dict[str, IdOf | str]:
    """The parameters of a path: placeholders for ids, and a file name."""
    parameters = ROUTES[case].param_convertors
    return {
        name: IdOf(name.removesuffix("_id").capitalize()) if name.endswith("_id") else name
        for name in parameters
    }


def example_path(path: str) -> str:
    """The path with values for its parameters, which name nothing that there is."""
    return PARAMETER.sub(lambda match: ids.new(Noun(match[1].capitalize())) if match[2] else match[1], path)


def path_of(case: Case, given: Mapping[str, str], sample: SampleData) -> str:
    """The path with values for its parameters."""
    return case[1].format_map({**given, "filename": sample.filename})


async def send(
    client: httpx.AsyncClient, case: Case, path: str, headers: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """The status and the body of the response."""
    method, template = case
    assert (template in SENT) == (method in {"POST", "PUT"})
    response = await client.request(method, path, headers=headers, **SENT.get(template, {}))
    return response.status_code, response.text


def served(wiring: Wiring, settings: Settings) -> list[tuple[str, str]]:
    """Method and path of every route of the application and the gateway."""
    app = Starlette()
    add_routes(app, wiring, settings)
    found = [(method, f"/public/{{project_id}}/{endpoint}") for endpoint, method in ENDPOINTS.items()]
    for route in app.routes:
        match route:
            case Route(methods=methods, path=path):
                found += [(method, path) for method in methods or ("GET", "POST") if method != "HEAD"]
            case WebSocketRoute(path=path):
                found.append(("WS", path))
            case _:
                assert isinstance(route, Mount)
                assert (route.path, route.app) == ("/public", wiring.gateway)
    return found
