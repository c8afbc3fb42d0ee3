"""People with an account: signing up, signing in, and what they have used."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from domain import ids
from domain.errors import Conflict, Invalid, SignInRequired, Unauthenticated
from domain.rules import named

if TYPE_CHECKING:
    from domain.store import Store

MIN_PASSWORD = 6
MAX_PASSWORD = 1_000  # argon2 would hash any length, at a cost that the caller chooses
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """An account. `email` is lower case and unique."""

    id: str
    email: str
    name: str
    password_hash: str
    current_plan: str = "self-hosted"
    billing_cycle: str | None = None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What an account has used so far."""

    queries_used: int
    finetune_jobs: int
    datasets_count: int
    tokens_used: int


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in user and the bearer token that proves it."""

    user: User
    access_token: str
    expires_at: datetime


class Accounts(Protocol):
    """The accounts that are kept."""

    async def get(self, id: str, *, viewer_id: str) -> User | None: ...
    async def by_email(self, email: str) -> User | None: ...
    async def add(self, user: User) -> bool:
        """False when the e-mail is taken."""
        ...

    async def usage(self, *, viewer_id: str) -> Usage: ...


class Passwords(Protocol):
    """Hashes passwords, slowly by design: neither call may run on an event loop's thread."""

    async def hash(self, password: str) -> str: ...
    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Takes as long for None, an unknown account, as for a wrong password."""
        ...


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


def checked_email(email: str) -> str:
    """An e-mail address as it is kept."""
    email = email.strip().lower()
    if not EMAIL.fullmatch(email) or len(email) > 254:
        raise Invalid("This is not an e-mail address.", reason="INVALID_EMAIL", field="email")
    return named(email, "email")


def checked_password(password: str) -> str:
    """A password that may be used."""
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise Invalid(
            f"A password needs at least {MIN_PASSWORD} and at most {MAX_PASSWORD:,} characters.",
            reason="INVALID_PASSWORD",
            field="password",
        )
    return password


def new_user(email: str, name: str, password_hash: str, *, now: datetime) -> User:
    """A new account, checked."""
    return User(
        id=ids.new("User"),
        email=checked_email(email),
        name=named(name, "name"),
        password_hash=password_hash,
        created_at=now,
    )


async def register(store: "Store", user: User) -> User:
    """Add an account; raises `Conflict` when the e-mail has one."""
    if not await store.accounts.add(user):
        raise Conflict("An account with this e-mail exists already.", reason="EMAIL_TAKEN", field="email")
    return user


async def require(store: "Store", viewer_id: str) -> User:
    """The viewer's account; raises `SignInRequired` when its token outlived it."""
    user = await store.accounts.get(viewer_id, viewer_id=viewer_id)
    if user is None:
        raise SignInRequired
    return user


def wrong_credentials() -> Unauthenticated:
    """The same answer for an unknown e-mail and for a wrong password."""
    return Unauthenticated("E-mail or password is wrong.", reason="INVALID_CREDENTIALS")
