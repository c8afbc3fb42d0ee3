"""Starts the process of a model, checks that it generates, and reads what the model can do."""

import asyncio
import os
import secrets
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import httpx

from domain.deployments import ModelCapability
from domain.errors import Unavailable
from infra.child_processes import module_command
from infra.runtime import MODEL_KEY, _capabilities
from infra.runtime._gguf import model_damaged_error, training_context

LOAD_TIMEOUT_S = 600.0
MAX_CONTEXT_TOKENS = 4096
"""Of models that were trained with more, too: the memory grows with each token of context."""


PRIVATE_VARIABLES = ("APP_", "AWS_", "DATABASE_", "LLM_", "LUTHIER_", "S3_", "SECRET_")
"""Prefixes of environment variables that are hidden from the process, which parses files that users uploaded."""


class ModelProcess:
    """The process of one model; `base_url` is its OpenAI API, `key` the API key.

    `capabilities` is None until the model is loaded, and when the process does not say what the model can do.
    """

    def __init__(self, process: asyncio.subprocess.Process, address: str, key: str) -> None:
        self._process = process
        self.address = address
        self.base_url = f"{address}/v1"
        self.key = key
        self.capabilities: frozenset[ModelCapability] | None = None

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """False once it has exited, for whatever reason."""
        return self._process.returncode is None

    async def stop(self) -> None:
        """Kill it: it has no state that could be lost, and a graceful exit can hang."""
        await _kill(self._process)


async def start(path: Path) -> ModelProcess:
    """Load a model in a process of its own.

    Raises `Invalid` when the file cannot be loaded, `Unavailable` when llama.cpp is missing or takes too long.
    """
    if find_spec("xllamacpp") is None:
        raise Unavailable("The embedded model runtime is not installed: `pip install 'luthier[embedded]'`.")
    context = min(await asyncio.to_thread(training_context, path), MAX_CONTEXT_TOKENS)
    key = secrets.token_urlsafe(24)
    process = await _spawn(path, context, key)
    try:
        async with asyncio.timeout(LOAD_TIMEOUT_S):
            model = ModelProcess(process, await _read_address(process), key)
            async with _client(model) as client:
                await _check_generates(client)
                model.capabilities = await _capabilities.from_llama_cpp(client, model.address, path.stem)
    except BaseException as error:
        await _kill(process)
        if isinstance(error, TimeoutError):
            raise Unavailable(f"The model was not loaded within {LOAD_TIMEOUT_S:g} s.") from error
        raise
    return model


async def _spawn(path: Path, context: int, key: str) -> asyncio.subprocess.Process:
    """Start the process in a session of its own, so that Ctrl-C in a terminal reaches only the supervisor."""
    command = module_command("infra.runtime.model_server", str(path), str(context), str(os.getpid()))
    env = {name: value for name, value in os.environ.items() if not name.startswith(PRIVATE_VARIABLES)}
    return await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        env=env | {MODEL_KEY: key},
        start_new_session=True,
    )


async def _read_address(process: asyncio.subprocess.Process) -> str:
    """The line that the process prints once the model is loaded; a damaged model makes it exit, or abort."""
    assert process.stdout is not None
    line = await process.stdout.readline()
    if not line:
        raise model_damaged_error()
    return line.decode().strip()


def _client(model: ModelProcess) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=model.address,
        headers={"authorization": f"Bearer {model.key}"},
        timeout=LOAD_TIMEOUT_S,
        trust_env=False,
    )


async def _check_generates(client: httpx.AsyncClient) -> None:
    """Generate one token: some damaged files can be loaded, but abort the process at the first request."""
    try:
        response = await client.post("/v1/completions", json={"prompt": "a", "max_tokens": 1})
    except httpx.HTTPError as error:
        raise model_damaged_error() from error
    if response.is_error:
        raise model_damaged_error()


async def _kill(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()
