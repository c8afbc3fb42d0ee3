"""The embedded model runtime: a small HTTP server that loads models and returns their addresses.

`POST /models {model_id, s3_key, size_bytes, sha256}` -> `{base_url, model, api_key, capabilities}`,
`DELETE /models/{id}`, both for requests with the token, and `GET /health`.
"""

import hmac
import json
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from domain.errors import DomainError, Invalid, Unauthenticated, Unavailable
from domain.ports.model_runtime import ModelFile
from domain.ports.storage import Storage
from edge.bearer_tokens import bearer_token
from infra.runtime._loaded_models import LoadedModels
from infra.runtime._model_process import ModelProcess

STATUS: dict[type[DomainError], int] = {Invalid: 422, Unauthenticated: 401, Unavailable: 503}
MODEL_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")  # part of a file name
SHUTDOWN_TIMEOUT_S = 2

Endpoint = Callable[[Request], Awaitable[Response]]


async def serve(
    port: int, token: str, storage: Storage, folder: Path, *, max_models: int = 4, ready: Path | None = None
) -> None:
    """Run the runtime on a port of this machine until SIGTERM, which unloads every model.

    Port 0 is any free one. `ready` is a file that is written once it listens, and contains its address.
    """
    server = _Server(app(LoadedModels(storage, folder, max_models), token), port, ready)
    await server.serve()


def app(models: LoadedModels, token: str) -> Starlette:
    """The runtime as an ASGI application."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await models.close()

    async def load(request: Request) -> Response:
        model = _model_file(await request.body())
        process = await models.get(model)
        return JSONResponse(_description(model, process))

    async def remove(request: Request) -> Response:
        await models.remove(_model_id(request.path_params["model_id"]))
        return Response(status_code=204)

    return Starlette(
        routes=[
            Route("/health", _health),
            Route("/models", _authenticated(load, token), methods=["POST"]),
            Route("/models/{model_id}", _authenticated(remove, token), methods=["DELETE"]),
        ],
        exception_handlers={DomainError: _error_response},
        lifespan=lifespan,
    )


class _Server(uvicorn.Server):
    """Writes its address into a file as soon as it listens."""

    def __init__(self, app: Starlette, port: int, ready: Path | None) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                host="127.0.0.1",
                port=port,
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=SHUTDOWN_TIMEOUT_S,
            )
        )
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._ready and self.started:
            host, port = self.servers[0].sockets[0].getsockname()
            partial = self._ready.with_name(self._ready.name + ".part")
            partial.write_text(f"http://{host}:{port}")
            partial.replace(self._ready)


async def _health(_: Request) -> Response:
    return JSONResponse({"status": "ok"})


def _authenticated(endpoint: Endpoint, token: str) -> Endpoint:
    async def authenticated(request: Request) -> Response:
        given = bearer_token(request.headers.get("authorization")) or ""
        if not hmac.compare_digest(given.encode(), token.encode()):
            raise Unauthenticated("The token of the model runtime is wrong.")
        return await endpoint(request)

    return authenticated


async def _error_response(_: Request, error: Exception) -> Response:
    assert isinstance(error, DomainError)
    body = {"detail": error.message, "error_code": error.reason}
    return JSONResponse(body, status_code=STATUS.get(type(error), 400))


def _description(model: ModelFile, process: ModelProcess) -> dict[str, object]:
    """The fields of the model's `Upstream`."""
    return {
        "base_url": process.base_url,
        "model": model.model_id,
        "api_key": process.key,
        "capabilities": None if process.capabilities is None else sorted(process.capabilities),
    }


def _model_file(body: bytes) -> ModelFile:
    try:
        fields = json.loads(body)
        return ModelFile(
            model_id=_model_id(fields["model_id"]),
            s3_key=str(fields["s3_key"]),
            size_bytes=int(fields["size_bytes"]),
            sha256=str(fields["sha256"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise Invalid("The body must name `model_id`, `s3_key`, `size_bytes` and `sha256`.") from error


def _model_id(value: str) -> str:
    if not MODEL_ID.fullmatch(value):
        raise Invalid("`model_id` must be an id.")
    return value
