"""An external model server that speaks the OpenAI protocol. On Ollama, fine-tunes are installed."""

from pathlib import PurePosixPath
from typing import Any

import httpx

from domain.errors import Invalid, Unavailable
from domain.ports.model_runtime import ModelFile, Upstream
from domain.ports.storage import Storage
from infra.runtime import _capabilities
from infra.runtime._upstream_cache import UpstreamCache

CACHE_TTL_S = 30.0
TIMEOUT = httpx.Timeout(30.0, connect=5.0)
INSTALL_TIMEOUT_S = 1800.0
"""For Ollama to receive the last bytes of a large model, or to import it."""
LLAMA_CPP = "llamacpp"
"""The owner of each model in the list of a llama.cpp server."""


class RemoteRuntime:
    """The server at `base_url`, which ends before `/chat/completions`."""

    def __init__(self, base_url: str, api_key: str | None, storage: Storage) -> None:
        self._base_url = base_url.rstrip("/")
        self._root = self._base_url.removesuffix("/v1")
        self._api_key = api_key
        self._storage = storage
        headers = {"authorization": f"Bearer {api_key}"} if api_key else None
        self._client = httpx.AsyncClient(headers=headers, timeout=TIMEOUT)
        self._upstreams = UpstreamCache(CACHE_TTL_S)

    async def upstream(self, model: ModelFile | str) -> Upstream:
        """The address of `model`, which is installed first where the server is Ollama. Raises `Invalid` or `Unavailable`."""
        if isinstance(model, str):
            return await self._upstreams.get(model, lambda: self._existing(model))
        return await self._upstreams.get(model.model_id, lambda: self._finetune(model))

    def invalidate(self, model_id: str) -> None:
        self._upstreams.invalidate(model_id)

    async def remove(self, model_id: str) -> None:
        """Delete a model from Ollama; on another server nothing is deleted. Raises `Unavailable`."""
        self._upstreams.invalidate(model_id)
        if await self._is_ollama():
            await self._send("DELETE", f"{self._root}/api/delete", json={"model": model_id}, missing=True)

    async def health(self) -> str:
        try:
            await self._owners()
        except Unavailable as error:
            return error.message
        return "connected"

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _existing(self, name: str) -> Upstream:
        owners = await self._owners()
        if name not in owners:
            raise Invalid(f"The model server has no model '{name}'.", reason="UNKNOWN_MODEL")
        return await self._upstream(name, owners[name])

    async def _finetune(self, model: ModelFile) -> Upstream:
        owners = await self._owners()
        if model.model_id not in owners:  # not by its name, which another user's model may have too
            await self._install(model)
        return await self._upstream(model.model_id, owners.get(model.model_id))

    async def _upstream(self, name: str, owner: str | None) -> Upstream:
        read = _capabilities.from_llama_cpp if owner == LLAMA_CPP else _capabilities.from_ollama
        return Upstream(
            base_url=self._base_url,
            model=name,
            api_key=self._api_key,
            capabilities=await read(self._client, self._root, name),
        )

    async def _owners(self) -> dict[str, str | None]:
        """The owners of the server's models by name; Ollama's also without `:latest`, which requests may omit."""
        response = await self._send("GET", f"{self._base_url}/models")
        try:
            owners = {str(model["id"]): model.get("owned_by") for model in response.json()["data"] or ()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Unavailable("The model server does not speak the OpenAI protocol.") from error
        return owners | {name.removesuffix(":latest"): owner for name, owner in owners.items()}

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
        request = {"model": model.model_id, "files": files, "stream": False}
        await self._send("POST", f"{self._root}/api/create", json=request, timeout=INSTALL_TIMEOUT_S)

    async def _upload(self, model: ModelFile, url: str) -> None:
        """Stream the file from storage to Ollama, unless Ollama has it already."""
        found = await self._send("HEAD", url, missing=True)
        if found.is_error:
            size = {"content-length": str(model.size_bytes)}
            content = self._storage.read(model.s3_key)
            await self._send("POST", url, content=content, headers=size, timeout=INSTALL_TIMEOUT_S)

    async def _is_ollama(self) -> bool:
        response = await self._send("GET", f"{self._root}/api/version", missing=True)
        return response.is_success and "version" in response.text

    async def _send(self, method: str, url: str, *, missing: bool = False, **request: Any) -> httpx.Response:
        """The response. Raises `Unavailable` for an error status; with `missing`, only from 500 on."""
        try:
            response = await self._client.request(method, url, **request)
        except httpx.HTTPError as error:
            raise Unavailable("The model server does not answer; try again in a moment.") from error
        if response.is_error and not (missing and response.status_code < 500):
            raise Unavailable(f"The model server answered {response.status_code}{_error_detail(response)}.")
        return response


def _error_detail(response: httpx.Response) -> str:
    """The message in an error's body, as Ollama and others send it, when it is short."""
    try:
        error = response.json()["error"]
    except (ValueError, KeyError, TypeError):
        return ""
    text = error.get("message") if isinstance(error, dict) else error
    return f": {text.rstrip('.?!')}" if isinstance(text, str) and len(text) < 300 else ""
