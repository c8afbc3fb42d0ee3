"""The client of the embedded runtime: `ModelRuntime` over its HTTP API."""

from dataclasses import asdict
from typing import Any

import httpx

from domain.deployments import ModelCapability
from domain.errors import Invalid, Unavailable
from domain.ports.model_runtime import ModelFile, Upstream
from infra.runtime._upstream_cache import UpstreamCache

CACHE_TTL_S = 5.0
"""Short, because the runtime unloads the model that was requested least recently."""
TIMEOUT = httpx.Timeout(None, connect=5.0)  # a large model is downloaded before the response
HEALTH_TIMEOUT_S = 2.0


class EmbeddedRuntime:
    """Has models loaded in processes of this machine, by the runtime at `base_url`."""

    def __init__(self, base_url: str, token: str) -> None:
        self._client = httpx.AsyncClient(
            base_url=base_url,
            headers={"authorization": f"Bearer {token}"},
            timeout=TIMEOUT,
            trust_env=False,
        )
        self._upstreams = UpstreamCache(CACHE_TTL_S)

    async def upstream(self, model: ModelFile | str) -> Upstream:
        if isinstance(model, str):
            raise Invalid(f"The model runtime has no model '{model}'.", reason="UNKNOWN_MODEL")
        return await self._upstreams.get(model.model_id, lambda: self._load(model))

    def invalidate(self, model_id: str) -> None:
        self._upstreams.invalidate(model_id)

    async def remove(self, model_id: str) -> None:
        self._upstreams.invalidate(model_id)
        await self._send("DELETE", f"/models/{model_id}")

    async def health(self) -> str:
        try:
            response = await self._client.get("/health", timeout=HEALTH_TIMEOUT_S)
        except httpx.HTTPError:
            return "the model runtime does not answer"
        return "connected" if response.is_success else f"the model runtime answers {response.status_code}"

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _load(self, model: ModelFile) -> Upstream:
        response = await self._send("POST", "/models", asdict(model))
        return _upstream(**response.json())

    async def _send(self, method: str, path: str, body: object = None) -> httpx.Response:
        try:
            response = await self._client.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise Unavailable("The model runtime does not answer; try again in a moment.") from error
        if response.status_code == httpx.codes.UNPROCESSABLE_ENTITY:
            problem = response.json()
            raise Invalid(problem["detail"], reason=problem["error_code"])
        if response.is_error:
            raise _unavailable(response)
        return response


def _upstream(*, capabilities: list[str] | None, **fields: Any) -> Upstream:
    found = None if capabilities is None else frozenset(ModelCapability(name) for name in capabilities)
    return Upstream(**fields, capabilities=found, is_embedded=True)


def _unavailable(response: httpx.Response) -> Unavailable:
    if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        problem = response.json()
        return Unavailable(problem["detail"], reason=problem["error_code"])
    return Unavailable(f"The model runtime answered {response.status_code}.")
