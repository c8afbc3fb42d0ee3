"""The floor: the same rows as JSON from Starlette and psycopg by hand-written SQL, with nothing between.

`python -m benchmarks.peers.bare` takes libpq's DATABASE_URL and prints its port. No token is checked, no id is
translated, no field is chosen: what a response costs here, no API over these rows can save.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import uvicorn
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

VIEWER = "select id from users where id = %s"
JOBS = """
select jobs.id, type, jobs.status, progress, message, attempt as attempts,
       jobs.created_at as "createdAt", finished_at as "finishedAt"
from jobs join projects on projects.id = jobs.project_id
where projects.owner_id = %s order by jobs.id desc limit 100
"""
NESTED = """
select parent.id, parent.name, child.id as child_id, child.version, child.name as child_name, child.status
from (select id, name from projects where owner_id = %s order by id desc limit 100) parent
left join lateral (
  select id, version, name, status from datasets
  where project_id = parent.id and status <> 'DELETED' order by id desc limit 10
) child on true
order by parent.id desc, child.id desc
"""

Shape = Callable[[list[dict[str, Any]]], Any]


def rows(found: list[dict[str, Any]]) -> Any:
    """Return the rows unchanged."""
    return found


def nested(found: list[dict[str, Any]]) -> Any:
    """The children of each parent."""
    parents: dict[Any, dict[str, Any]] = {}
    for row in found:
        parent = parents.get(row["id"])
        if parent is None:
            parent = parents[row["id"]] = {"id": row["id"], "name": row["name"], "datasets": []}
        if row["child_id"] is not None:
            child = {"id": row["child_id"], "version": row["version"]}
            parent["datasets"].append(child | {"name": row["child_name"], "status": row["status"]})
    return list(parents.values())


def endpoint(sql: str, shape: Shape) -> Callable[[Request], Awaitable[Response]]:
    """The rows of a statement, of the owner in the query string."""

    async def respond(request: Request) -> Response:
        async with request.app.state.pool.connection() as connection:
            cursor = connection.cursor(row_factory=dict_row, binary=True)
            await cursor.execute(sql, (request.query_params["owner"],))
            found = await cursor.fetchall()
        return Response(orjson.dumps(shape(found)), media_type="application/json")

    return respond


async def plain(_: Request) -> Response:
    """No rows at all: how fast the load itself is."""
    return Response(b"{}", media_type="application/json")


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """The pool, which is as large as the product's."""
    kwargs = {"autocommit": True}
    async with AsyncConnectionPool(
        os.environ["DATABASE_URL"], min_size=10, max_size=10, kwargs=kwargs
    ) as pool:
        app.state.pool = pool
        yield


ROUTES = [
    Route("/plain", plain),
    Route("/viewer", endpoint(VIEWER, rows)),
    Route("/jobs", endpoint(JOBS, rows)),
    Route("/nested", endpoint(NESTED, nested)),
]


class Server(uvicorn.Server):
    """A server on a free port, which it prints."""

    async def startup(self, sockets: object = None) -> None:  # noqa: ARG002 - it takes a free port
        """Listen, and print the port."""
        await super().startup()
        print(self.servers[0].sockets[0].getsockname()[1], flush=True)


if __name__ == "__main__":
    app = Starlette(routes=ROUTES, lifespan=lifespan)
    config = uvicorn.Config(
        app, port=0, loop="uvloop", http="httptools", log_level="error", access_log=False, server_header=False
    )
    Server(config).run()
