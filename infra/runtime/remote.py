"""Somebody else's model server: whatever speaks the OpenAI protocol. Into Ollama, models are installed."""

from pathlib import PurePosixPath
from typing import Any

import httpx

from domain.errors import Invalid, Unavailable
from domain.ports.model_runtime import ModelFile, Upstream
from domain.ports.storage import Storage
from infra.runtime.upstream_cache import Answers

FRESH_S = 30.0
TIMEOUT = httpx.Timeout(30.0, connect=5.0)
INSTALL_S = 1800.0
"""How long Ollama may take over the last bytes of a large model, or over reading it in."""


class RemoteRuntime:
    """A server at `base_url`, which ends before `/chat/completions`."""

    def __init__(self, base_url: str, api_key: str | None, storage: Storage) -> None:
        self._base_url = base_url.rstrip("/")
        self._root = self._base_url.removesuffix("/v1")
        self._api_key = api_key
        self._storage = storage
        headers = {"authorization": f"Bearer {api_key}"} if api_key else None
        self._client = httpx.AsyncClient(headers=headers, timeout=TIMEOUT)
        self._answers = Answers(FRESH_S)

    async def upstream(self, model: ModelFile | str) -> Upstream:
        """Where `model` answers, installed first where that can be done. Raises `Invalid` or `Unavailable`."""
        if isinstance(model, str):
            return await self._answers.get(model, lambda: self._named(model))
        return await self._answers.get(model.model_id, lambda: self._tuned(model))

    def forget(self, model_id: str) -> None:
        """Ask again the next time."""
        self._answers.forget(model_id)

    async def remove(self, model_id: str) -> None:
        """Delete a model that was installed; a server that is not Ollama keeps what it has."""
        self._answers.forget(model_id)
        if await self._is_ollama():
            await self._send("DELETE", f"{self._root}/api/delete", json={"model": model_id}, missing=True)

    async def health(self) -> str:
        """`connected`, or why not."""
        try:
            await self._names()
        except Unavailable as error:
            return error.message
        return "connected"

    async def aclose(self) -> None:
        """Let go of its connections."""
        await self._client.aclose()

    async def _named(self, name: str) -> Upstream:
        if name not in await self._names():
            raise Invalid(f"The model server has no model '{name}'.", reason="UNKNOWN_MODEL")
        return self._answer(name)

    async def _tuned(self, model: ModelFile) -> Upstream:
        if model.model_id not in await self._names():  # never by its name: other users' models may share that
            await self._install(model)
        return self._answer(model.model_id)

    def _answer(self, name: str) -> Upstream:
        return Upstream(base_url=self._base_url, model=name, api_key=self._api_key)

    async def _names(self) -> set[str]:
        """What the server answers for; Ollama's `:latest` may be left out, as in its own requests."""
        reply = await self._send("GET", f"{self._base_url}/models")
        try:
            names = {str(model["id"]) for model in reply.json()["data"] or ()}
        except (ValueError, KeyError, TypeError) as error:
            raise Unavailable("The model server does not speak the OpenAI protocol.") from error
        return names | {name.removesuffix(":latest") for name in names}

    async def _install(self, model: ModelFile) -> None:
        if not await self._is_ollama():
            raise Invalid(
                f"The model server does not have this model: load {PurePosixPath(model.s3_key).name} into it "
                f"under the name {model.model_id}, or use Ollama, into which models are installed by themselves.",
                reason="UNKNOWN_MODEL",
            )
        digest = f"sha256:{model.sha256}"
        await self._upload(model, f"{self._root}/api/blobs/{digest}")
        files = {PurePosixPath(model.s3_key).name: digest}
        recipe = {"model": model.model_id, "files": files, "stream": False}
        await self._send("POST", f"{self._root}/api/create", json=recipe, timeout=INSTALL_S)

    async def _upload(self, model: ModelFile, url: str) -> None:
        """Pass the file on as it comes from storage; not at all when Ollama has it."""
        found = await self._send("HEAD", url, missing=True)
        if found.is_error:
            size = {"content-length": str(model.size_bytes)}
            content = self._storage.read(model.s3_key)
            await self._send("POST", url, content=content, headers=size, timeout=INSTALL_S)

    async def _is_ollama(self) -> bool:
        reply = await self._send("GET", f"{self._root}/api/version", missing=True)
        return reply.is_success and "version" in reply.text

    async def _send(self, method: str, url: str, *, missing: bool = False, **request: Any) -> httpx.Response:
        """The answer; a refusal is `Unavailable` with what the server says, unless it may be `missing`."""
        try:
            reply = await self._client.request(method, url, **request)
        except httpx.HTTPError as error:
            raise Unavailable("The model server does not answer; try again in a moment.") from error
        if reply.is_error and not (missing and reply.status_code < 500):
            raise Unavailable(f"The model server answered {reply.status_code}{_said(reply)}.")
        return reply


def _said(reply: httpx.Response) -> str:
    """What Ollama and others say in an error's body, when it is short."""
    try:
        error = reply.json()["error"]
    except (ValueError, KeyError, TypeError):
        return ""
    text = error.get("message") if isinstance(error, dict) else error
    return f": {text.rstrip('.?!')}" if isinstance(text, str) and len(text) < 300 else ""
