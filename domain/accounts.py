"""People with an account: records and rules."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from domain import ids
from domain.errors import Invalid, Unauthenticated
from domain.ids import Noun
from domain.rules import named

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


class AccountReads(Protocol):
    """The accounts, as they can be read."""

    async def get(self, id: str, *, viewer_id: str) -> User | None:
        """The viewer's own account; everybody else's is absent."""
        ...

    async def many(self, ids: list[str], *, viewer_id: str) -> dict[str, User]: ...
    async def by_email(self, email: str) -> User | None: ...
    async def usage(self, *, viewer_id: str) -> Usage: ...


class Accounts(AccountReads, Protocol):
    """The accounts that are kept."""

    async def add(self, user: User) -> bool:
        """False when the e-mail is taken."""
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
        id=ids.new(Noun.USER),
        email=checked_email(email),
        name=named(name, "name"),
        password_hash=password_hash,
        created_at=now,
    )


def wrong_credentials() -> Unauthenticated:
    """The same answer for an unknown e-mail and for a wrong password."""
    return Unauthenticated("E-mail or password is wrong.", reason="INVALID_CREDENTIALS")
