"""What the gateway knows and leaves: where a request goes, and what was answered."""

from dataclasses import dataclass
from typing import Protocol

from domain.ports.model_runtime import ModelFile
from domain.request_logs import RequestLog


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where the gateway sends a request: the model file, or the name that the runtime knows it by."""

    deployment_id: str
    api_key_id: str
    model_name: str
    target: ModelFile | str


class Directory(Protocol):
    """The gateway's table of keys and deployments, kept true while they change."""

    async def route(self, project_id: str, secret: str, model_name: str) -> Route:
        """The deployment that a key may ask for a model.

        Raises `Unauthenticated` when the key is not one of the project's, `NotFound` when key and model do
        not belong together or the model is not READY.
        """
        ...

    async def model_names(self, project_id: str, secret: str) -> list[str]:
        """The models that a key may ask; raises `Unauthenticated`."""
        ...


class RequestRecorder(Protocol):
    """Takes down what the gateway answered."""

    async def record(self, log: RequestLog) -> None:
        """Returns once the row is kept, or is safe to be kept soon."""
        ...
