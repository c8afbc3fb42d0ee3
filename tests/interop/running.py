"""Runs programs of clients in environments of their own."""

import asyncio
import json
import os
import shutil
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.interop.scripted_model import MODEL

FOLDER = Path(__file__).parent
CLIENTS = FOLDER.parents[1] / ".clients"
"""The environment of the clients in Python, and folders of packages that may come before it."""
PYTHON = CLIENTS / "bin" / "python"
NODE = Path(sys.executable).with_name("node")
NODE_MODULES = FOLDER / "node" / "node_modules"
NEEDS_PROGRAMS = os.environ.get("LUTHIER_NEEDS_PROGRAMS") == "1"
"""Whether to fail without LibreOffice, curl or wget, as in CI, rather than to skip."""
NEEDED = os.environ.get("LUTHIER_NEEDS_CLIENTS") == "1"
"""Whether to fail without the clients, as in `make test`, rather than to skip."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What a user copies into a client of OpenAI."""

    base_url: str
    api_key: str
    model: str = MODEL

    @property
    def environment(self) -> dict[str, str]:
        """The endpoint as the programs read it."""
        return {"BASE_URL": self.base_url, "API_KEY": self.api_key, "MODEL": self.model}


async def run_program(program: str, variables: dict[str, str], overlay: str = "") -> dict[str, Any]:
    """The results of a program of `programs/` or `node/` by their cases.

    `overlay` is a folder of packages that come before those of the environment, such as `openai-1`; one that is not
    there changes nothing.
    """
    check_installed()
    packages = {"PYTHONPATH": str(CLIENTS / overlay)} if overlay else {}
    lines = (await output(command(program), variables | packages)).splitlines()
    # litellm prints hints between the results
    cases = [json.loads(line) for line in lines if line.startswith('{"case":')]
    return {case["case"]: case["result"] for case in cases}


def check_installed() -> None:
    """Skip the test where the clients are not installed; fail it where they are needed."""
    if not (PYTHON.exists() and NODE_MODULES.exists()):
        assert not NEEDED, "The clients are not installed: `make clients` installs them."
        pytest.skip("The clients are not installed: `make clients` installs them.")


def system_program(name: str) -> str:
    """The path of a program that the system has; without it the test is skipped, or fails where it is needed."""
    path = shutil.which(name)
    assert path or not NEEDS_PROGRAMS, f"LUTHIER_NEEDS_PROGRAMS is set, and there is no {name}."
    return path or pytest.skip(f"There is no {name}.")


def command(program: str) -> list[str]:
    """The command line of a program."""
    if program.endswith(".mjs"):
        return [str(NODE), str(FOLDER / "node" / program)]
    return [str(PYTHON), str(FOLDER / "programs" / program)]


async def output(words: list[str], variables: dict[str, str], cwd: Path | None = None) -> str:
    """What a command prints; fails the test with its errors where it exits with another status than 0."""
    process = await asyncio.create_subprocess_exec(
        *words,
        cwd=cwd,
        env=_inherited() | variables,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await process.communicate()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
    assert process.returncode == 0, f"{out.decode()}\n{err.decode()}"
    return out.decode()


def _inherited() -> dict[str, str]:
    """The variables of the tests that a client may see; those of the clients themselves keep them on this machine."""
    found = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return found | {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LANGSMITH_TRACING": "false"}


def differences(found: dict[str, Any], expected: dict[str, Any]) -> dict[str, Any]:
    """The cases whose results are not what was expected, each with the result and the expectation."""
    pairs = {name: [found.get(name), expected.get(name)] for name in found | expected}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
