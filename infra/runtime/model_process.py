"""Starts a model's process and finds out whether it works."""

import asyncio
import os
import secrets
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import httpx

from domain.errors import Unavailable
from infra.python_modules import module_command
from infra.runtime import MODEL_KEY
from infra.runtime.gguf import damaged, training_context

LOAD_S = 600.0
LONGEST_CONTEXT = 4096
"""Tokens: a model that could look at more is given no more, for its memory grows with each."""


OURS = ("APP_", "AWS_", "DATABASE_", "LLM_", "LUTHIER_", "S3_", "SECRET_")
"""Variables that a process which reads strangers' files has no need to know."""


class ModelProcess:
    """A process that answers for one model."""

    def __init__(self, process: asyncio.subprocess.Process, address: str, key: str) -> None:
        self._process = process
        self.base_url = f"{address}/v1"
        self.key = key

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """False once it has ended, for whatever reason."""
        return self._process.returncode is None

    async def stop(self) -> None:
        """End it, whatever it is doing: it keeps nothing that could be lost, and a gentle end can hang."""
        await _kill(self._process)


async def start(path: Path) -> ModelProcess:
    """Load a model in a process of its own. Raises `Invalid` when the file cannot be loaded."""
    if find_spec("xllamacpp") is None:
        raise Unavailable("The embedded model runtime is not installed: `pip install 'luthier[embedded]'`.")
    context = min(await asyncio.to_thread(training_context, path), LONGEST_CONTEXT)
    key = secrets.token_urlsafe(24)
    process = await _spawn(path, context, key)
    try:
        async with asyncio.timeout(LOAD_S):
            model = ModelProcess(process, await _address(process), key)
            await _try_out(model)
    except BaseException as error:
        await _kill(process)
        if isinstance(error, TimeoutError):
            raise Unavailable(f"The model was not loaded within {LOAD_S:g} s.") from error
        raise
    return model


async def _spawn(path: Path, context: int, key: str) -> asyncio.subprocess.Process:
    """In a session of its own, so that Ctrl-C in a terminal reaches only its supervisor."""
    command = module_command("infra.runtime.model_server", str(path), str(context), str(os.getpid()))
    env = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        env=env | {MODEL_KEY: key},
        start_new_session=True,
    )


async def _address(process: asyncio.subprocess.Process) -> str:
    """What the process prints when the model is loaded; a damaged one makes it fail, or abort."""
    assert process.stdout is not None
    line = await process.stdout.readline()
    if not line:
        raise damaged()
    return line.decode().strip()


async def _try_out(model: ModelProcess) -> None:
    """Ask for a token: some damaged files are loaded, and abort the process at the first request."""
    headers = {"authorization": f"Bearer {model.key}"}
    body = {"prompt": "a", "max_tokens": 1}
    try:
        async with httpx.AsyncClient(timeout=LOAD_S, trust_env=False) as client:
            reply = await client.post(f"{model.base_url}/completions", json=body, headers=headers)
    except httpx.HTTPError as error:
        raise damaged() from error
    if reply.is_error:
        raise damaged()


async def _kill(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()
