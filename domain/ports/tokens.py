"""Bearer tokens and tickets: the port to whatever signs them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from domain.accounts import User


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in user and the bearer token that proves it."""

    user: User
    access_token: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Viewer:
    """Whose token was read, and when the bearer token ends that it is, or was made with."""

    id: str
    until: datetime


class Tokens(Protocol):
    """Issues and reads bearer tokens."""

    def issue(self, user_id: str) -> tuple[str, datetime]:
        """A token and when it ends."""
        ...

    def viewer(self, token: str) -> Viewer | None:
        """Whose token it is, and until when; None when it is forged, expired or for something else."""
        ...

    def ticket(self, user_id: str, path: str, until: datetime | None = None) -> tuple[str, datetime]:
        """A token that opens one REST path, and when it ends; what it opened may go on to `until`."""
        ...

    def ticket_viewer(self, ticket: str, path: str) -> Viewer | None:
        """Whose ticket it is, and until when what it opens may go on; None when it is not for this path."""
        ...
