"""What every resolver is handed."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from domain.errors import SignInRequired
from domain.services import Services
from domain.store import Transactions


@dataclass(slots=True, kw_only=True)
class Context:
    """One request: who asks, and what answers.

    `base_url` is how the caller reached us, without a slash; `streams` says whether more than one answer can be sent.
    """

    services: Services
    viewer: str | None
    base_url: str
    request_id: str = ""
    streams: bool = False
    loaders: dict[Any, Any] = field(default_factory=dict)
    connection_params: dict[str, Any] | None = None

    @property
    def viewer_id(self) -> str:
        """The signed-in viewer; raises `SignInRequired`."""
        if self.viewer is None:
            raise SignInRequired
        return self.viewer

    @property
    def transactions(self) -> Transactions:
        """Opens transactions."""
        return self.services.transactions

    def now(self) -> datetime:
        """The time, in UTC."""
        return self.services.now()
