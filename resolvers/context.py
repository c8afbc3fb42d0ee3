"""What every resolver is handed."""

from dataclasses import dataclass
from datetime import datetime

from domain.errors import SignInRequired
from domain.rate_limits import client_key
from domain.services import Services
from domain.store import Transactions


@dataclass(slots=True, kw_only=True)
class Context:
    """Who asks, and what answers.

    `viewer` is the signed-in user's id; `address` is the caller's host, None over a Unix socket; `until` is when the
    viewer's token expires.
    """

    services: Services
    viewer: str | None
    request_id: str = ""
    address: str | None = None
    until: datetime | None = None

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
        return client_key(self.viewer, self.address)

    def now(self) -> datetime:
        """The time, in UTC."""
        return self.services.now()
