"""Bearer tokens and tickets: the port to what signs and verifies them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from domain.accounts import User


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in user with a bearer token."""

    user: User
    access_token: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Viewer:
    """The user of a valid bearer token or ticket.

    `expires_at` is the bearer token's expiry, for a ticket that of the token it was created with.
    """

    id: str
    expires_at: datetime


class Tokens(Protocol):
    """Issues and verifies bearer tokens and tickets."""

    def issue(self, user_id: str) -> tuple[str, datetime]:
        """A bearer token, and when it expires."""
        ...

    def viewer(self, token: str) -> Viewer | None:
        """The viewer of a bearer token; None when it is invalid, expired or a ticket."""
        ...

    def ticket(self, user_id: str, path: str, until: datetime | None = None) -> tuple[str, datetime]:
        """A ticket for one REST path, and when it expires; a stream that it opened may go on to `until`."""
        ...

    def ticket_viewer(self, ticket: str, path: str) -> Viewer | None:
        """The viewer of a ticket; None when it is invalid, expired or for another path."""
        ...
