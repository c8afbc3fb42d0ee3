"""The adapter of `domain.ports.model_hub` to the Hugging Face Hub."""

import asyncio
from pathlib import Path

from domain.base_models import validated_model_id
from domain.ports.model_hub import Begin, HubModel, Progress
from infra.hub._descriptions import describe
from infra.hub._downloads import download
from infra.hub._requests import HubRequests, hub_unavailable


class HuggingFaceHub:
    """A hub at an address of the operator's choice; `token` is an account's, None for what everybody may read.

    A request is given up where nothing comes for `timeout_s` seconds, a description after `deadline_s` seconds.
    """

    def __init__(
        self, endpoint: str, token: str | None, *, timeout_s: float = 10.0, deadline_s: float = 30.0
    ) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._token = token
        self._timeout_s = timeout_s
        self._deadline_s = deadline_s

    async def describe(self, model_id: str) -> HubModel:
        model_id = validated_model_id(model_id)
        requests = HubRequests(self._endpoint, model_id, self._token, timeout_s=self._timeout_s)
        try:
            async with asyncio.timeout(self._deadline_s), requests:
                return await describe(requests, model_id)
        except TimeoutError:
            raise hub_unavailable("takes too long to answer") from None

    async def fetch(
        self, model_id: str, revision: str, folder: Path, *, begin: Begin, progress: Progress
    ) -> None:
        model_id = validated_model_id(model_id)
        async with HubRequests(self._endpoint, model_id, self._token, timeout_s=self._timeout_s) as requests:
            await download(requests, model_id, revision, folder, begin, progress)
