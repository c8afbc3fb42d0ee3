"""Runs scripts of `tests/node` by the Node.js of the development dependencies."""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).parents[1] / "node"

Node = Callable[..., AsyncGenerator[Any, None]]


@pytest.fixture(scope="session")
def node() -> Node:
    """Runs a script of `tests/node` and yields its lines of output, each of which is JSON."""
    return _printed


async def _printed(script: str, *arguments: str) -> AsyncGenerator[Any, None]:
    command = (str(Path(sys.executable).with_name("node")), str(SCRIPTS / script), *arguments)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe, limit=2**20)
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        async for line in process.stdout:
            yield json.loads(line)
        stderr = (await process.stderr.read()).decode()
        assert await process.wait() == 0, stderr
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()
