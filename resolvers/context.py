"""The context of a request: the first argument of every resolver."""

from dataclasses import dataclass
from datetime import datetime

from domain.errors import SignInRequired
from domain.rate_limits import client_key
from domain.services import Services
from domain.store import Transactions


@dataclass(slots=True, kw_only=True)
class Context:
    """The caller of a request, and the ports.

    `viewer` is the signed-in user's id; `address` is the caller's host, None over a Unix socket; `expires_at` is when
    the viewer's token expires.
    """

    services: Services
    viewer: str | None
    request_id: str = ""
    address: str | None = None
    expires_at: datetime | None = None

    @property
    def viewer_id(self) -> str:
        """The signed-in user's id; raises `SignInRequired`."""
        if self.viewer is None:
            raise SignInRequired
        return self.viewer

    @property
    def transactions(self) -> Transactions:
        """Opens transactions."""
        return self.services.transactions

    @property
    def token_remaining_s(self) -> float | None:
        """Seconds until the viewer's token expires; None where the viewer has none."""
        return None if self.expires_at is None else (self.expires_at - self.now()).total_seconds()

    @property
    def client_key(self) -> str:
        """The key that the client's calls and connections are counted under: the user's id, else the address."""
        return client_key(self.viewer, self.address)

    def now(self) -> datetime:
        """The current time in UTC."""
        return self.services.now()
