"""What every resolver is handed."""

from asyncio import Future
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from domain.errors import SignInRequired
from domain.rate_limits import caller
from domain.services import Services
from domain.store import Transactions


@dataclass(slots=True, kw_only=True)
class Context:
    """One request: who asks, and what answers.

    `base_url` is how the caller reached us, without a slash; `streams` says whether more than one answer can be sent;
    `address` is the caller's host, None over a Unix socket; `until` is when what the viewer proved itself with ends;
    `tasks` are what loaders run, which ends with the operation; `plan` is what is found about its fields, which
    is kept for those who ask the same again.
    """

    services: Services
    viewer: str | None
    base_url: str
    request_id: str = ""
    streams: bool = False
    address: str | None = None
    until: datetime | None = None
    loaders: dict[Any, Any] = field(default_factory=dict)
    tasks: set[Future[Any]] = field(default_factory=set)
    plan: dict[Any, Any] = field(default_factory=dict)
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

    @property
    def life_s(self) -> float | None:
        """For how many seconds the viewer is known to be who it is; None where there is no end to that."""
        return None if self.until is None else (self.until - self.now()).total_seconds()

    @property
    def holder(self) -> str:
        """Who holds what is open: the viewer, or who is signed out by address."""
        return caller(self.viewer, self.address)

    def now(self) -> datetime:
        """The time, in UTC."""
        return self.services.now()
