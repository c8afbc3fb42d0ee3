"""What the gateway needs of the database: the routes that keys open, and a log of requests."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from domain.ports.model_runtime import ModelFile
from domain.request_logs import RequestLog


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where the gateway sends a request: the model file, or the name that the runtime knows it by.

    `created_at` is that of the deployment.
    """

    deployment_id: str
    api_key_id: str
    model_name: str
    created_at: datetime
    target: ModelFile | str


class KeyTable(Protocol):
    """The API keys and the deployments that they open, kept up to date."""

    async def route(self, project_id: str, secret: str, model_name: str) -> Route:
        """The route to the deployment of a model that a key opens, by its name or the part behind its first slash.

        Raises `Unauthenticated` when the key is not one of the project's, `NotFound` when the key does not open
        the model or the model is not READY, `Unavailable` when the database cannot be asked.
        """
        ...

    async def routes(self, project_id: str, secret: str) -> list[Route]:
        """The routes to all models that a key opens; raises `Unauthenticated`, `Unavailable`."""
        ...


class RequestLogWriter(Protocol):
    """Stores what the gateway answered."""

    async def write(self, log: RequestLog) -> None:
        """Returns once the row is committed or queued."""
        ...
