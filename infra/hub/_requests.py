"""GET requests to a hub: small answers of its own host, and its errors as the domain's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from urllib.parse import urljoin

import httpx2
import orjson
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
)
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

from domain.errors import DomainError, Forbidden, NotFound, Unavailable

MAX_REDIRECTS = 5
ERROR_BODY_BYTES = 65_536
CHUNK = 1_048_576
INVALID_CREDENTIALS = "Invalid credentials in Authorization header"
"""The hub's message for a token that it does not know."""


def hub_unavailable(what: str) -> Unavailable:
    """The error for a hub that does not do its part; `what` ends the sentence."""
    return Unavailable(f"The model hub {what}; try again later.", reason="HUB_UNAVAILABLE", field="modelId")


class HubRequests:
    """The requests about one model, on one connection. Other hosts are asked for large files alone, without a token."""

    def __init__(self, endpoint: str, model_id: str, token: str | None, *, timeout_s: float) -> None:
        self._endpoint = endpoint
        self._page = f"{endpoint}/{model_id}"
        self._token = token
        # False keeps huggingface_hub from sending the token of whoever is logged in on this machine.
        headers = build_hf_headers(token=token or False, library_name="luthier")
        self._client = httpx2.AsyncClient(
            headers={**headers, "Accept-Encoding": "identity"}, timeout=timeout_s, follow_redirects=False
        )
        self._anonymous = httpx2.AsyncClient(
            headers={"Accept-Encoding": "identity"}, timeout=timeout_s, follow_redirects=False
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()
        await self._anonymous.aclose()

    async def json(self, path: str, *, max_bytes: int) -> Any:
        """The JSON at a path of the hub; raises as `body`, and `Unavailable` where it is no JSON."""
        body = await self.body(path, max_bytes=max_bytes)
        try:
            return orjson.loads(body)
        except ValueError:
            raise hub_unavailable("answered with something that is no JSON") from None

    async def body(self, path: str, *, max_bytes: int, span: tuple[int, int] | None = None) -> bytes:
        """The body at a path of the hub, or from one to another of its bytes, both included.

        Raises `NotFound` and `Forbidden` for a model or file that this token cannot read, `Unavailable` where the hub
        fails, answers with more than `max_bytes`, or sends the request to another host.
        """
        headers = {} if span is None else {"Range": f"bytes={span[0]}-{span[1]}"}
        try:
            return await self._body(f"{self._endpoint}/{path}", headers, max_bytes)
        except HfHubHTTPError as error:
            raise _translated(error, self._page, has_token=self._token is not None) from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise hub_unavailable("does not answer") from error

    async def _body(self, url: str, headers: dict[str, str], max_bytes: int) -> bytes:
        for _ in range(MAX_REDIRECTS):
            async with self._client.stream("GET", url, headers=headers) as response:
                if not response.has_redirect_location:
                    return await _checked_body(response, max_bytes)
                url = _redirected(url, response.headers["location"])
            if _origin(url) != _origin(self._endpoint):
                raise hub_unavailable("sends requests about the model to another host")
        raise hub_unavailable("sends requests about the model in a circle")

    async def stream(self, path: str, *, start: int) -> AsyncIterator[bytes]:
        """The body at a path of the hub from one of its bytes on. A large file may be on another host, which gets no token.

        Raises as `body`, and `Unavailable` for a connection that ends too early.
        """
        try:
            async with self._answer(f"{self._endpoint}/{path}", start) as response:
                skipped = 0 if response.status_code == HTTPStatus.PARTIAL_CONTENT else start
                async for chunk in response.aiter_raw(CHUNK):
                    yield chunk[skipped:]
                    skipped = max(skipped - len(chunk), 0)
        except HfHubHTTPError as error:
            raise _translated(error, self._page, has_token=self._token is not None) from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise hub_unavailable("does not answer, or has stopped in the middle of a file") from error

    @asynccontextmanager
    async def _answer(self, url: str, start: int) -> AsyncIterator[httpx2.Response]:
        """The successful response, after redirects; those to other hosts are followed over HTTPS only."""
        headers = {"Range": f"bytes={start}-"} if start else {}
        client = self._client
        for _ in range(MAX_REDIRECTS):
            async with client.stream("GET", url, headers=headers) as response:
                if not response.has_redirect_location:
                    if not response.is_success:
                        await _checked_body(response, ERROR_BODY_BYTES)
                    yield response
                    return
                url = _redirected(url, response.headers["location"])
            if _origin(url) != _origin(self._endpoint):
                if httpx2.URL(url).scheme not in {"https", httpx2.URL(self._endpoint).scheme}:
                    raise hub_unavailable("sends requests about the model to a host without HTTPS")
                client = self._anonymous
        raise hub_unavailable("sends requests about the model in a circle")


async def _checked_body(response: httpx2.Response, max_bytes: int) -> bytes:
    """The body of a successful response; raises huggingface_hub's error for another."""
    limit = max_bytes if response.is_success else ERROR_BODY_BYTES
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > limit:
            if not response.is_success:
                break
            raise hub_unavailable("answers with more than is read of a model's description")
    if not response.is_success:
        error = httpx2.Response(
            response.status_code, headers=response.headers, content=bytes(body), request=response.request
        )
        hf_raise_for_status(error)
    return bytes(body)


def _redirected(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError:
        raise hub_unavailable("sends requests about the model to no address") from None


def _origin(url: str) -> tuple[str, str, int | None]:
    parsed = httpx2.URL(url)
    return parsed.scheme, parsed.host, parsed.port


def _translated(error: HfHubHTTPError, page: str, *, has_token: bool) -> DomainError:
    """The domain's error; `page` is the model's page on the hub."""
    status = error.response.status_code
    forbidden = _forbidden(error, page, has_token=has_token)
    if forbidden is not None:
        return forbidden
    if isinstance(error, RemoteEntryNotFoundError):
        return hub_unavailable("does not have a file of this model that it lists")
    if isinstance(error, RepositoryNotFoundError) or status in {401, 404}:
        private = "needs another account than that of HF_TOKEN" if has_token else "needs a token, in HF_TOKEN"
        message = f"There is no model {page}, or it is private and {private}."
        return NotFound(message, reason="MODEL_NOT_FOUND", field="modelId")
    if status == 429:
        return hub_unavailable("refuses further requests for a while")
    return hub_unavailable(f"answers with an error ({status})")


def _forbidden(error: HfHubHTTPError, page: str, *, has_token: bool) -> Forbidden | None:
    """The error for a token that may not read the model, or for none; None for other errors."""
    response = error.response
    if isinstance(error, GatedRepoError):
        message = (
            f"The model is gated: accept its license on {page} with the account of HF_TOKEN, which has no access to it yet."
            if has_token
            else f"The model is gated: accept its license on {page}, and set HF_TOKEN to a token of that account for the "
            "API and the workers."
        )
        return Forbidden(message, reason="MODEL_GATED", field="modelId")
    if response.status_code == 401 and response.headers.get("X-Error-Message") == INVALID_CREDENTIALS:
        message = "The model hub refuses HF_TOKEN: set it to a valid token, or to none."
        return Forbidden(message, reason="HUB_TOKEN_REFUSED", field="modelId")
    if response.status_code == 403:
        message = f"The model hub does not let this installation read {page}."
        return Forbidden(message, reason="MODEL_FORBIDDEN", field="modelId")
    return None
