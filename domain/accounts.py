"""User accounts: records and rules."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from domain import ids
from domain.errors import Invalid, Unauthenticated
from domain.ids import Noun
from domain.rules import validated_name

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
    """Usage of an account since it was created."""

    queries_used: int
    finetune_jobs: int
    datasets_count: int
    tokens_used: int


class AccountReads(Protocol):
    """Reads accounts."""

    async def get(self, id: str, *, viewer_id: str) -> User | None:
        """The viewer's own account; None for any other id."""
        ...

    async def many(self, ids: list[str], *, viewer_id: str) -> dict[str, User]: ...
    async def by_email(self, email: str) -> User | None: ...
    async def usage(self, *, viewer_id: str) -> Usage: ...


class Accounts(AccountReads, Protocol):
    """Reads and writes accounts."""

    async def add(self, user: User) -> bool:
        """Insert an account; False when its e-mail address has one already."""
        ...


def validated_email(email: str) -> str:
    """The address trimmed and in lower case; raises `Invalid` when it is not an e-mail address."""
    email = email.strip().lower()
    if not EMAIL.fullmatch(email) or len(email) > 254:
        raise Invalid("This is not an e-mail address.", reason="INVALID_EMAIL", field="email")
    return validated_name(email, "email")


def validated_password(password: str) -> str:
    """The password; raises `Invalid` when it is too short or too long."""
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise Invalid(
            f"A password needs at least {MIN_PASSWORD} and at most {MAX_PASSWORD:,} characters.",
            reason="INVALID_PASSWORD",
            field="password",
        )
    return password


def new_user(email: str, name: str, password_hash: str, *, now: datetime) -> User:
    """A new account; raises `Invalid` when a value breaks a rule."""
    return User(
        id=ids.new(Noun.USER),
        email=validated_email(email),
        name=validated_name(name, "name"),
        password_hash=password_hash,
        created_at=now,
    )


def invalid_credentials_error() -> Unauthenticated:
    """One error for an unknown e-mail address and for a wrong password, so that neither reveals accounts."""
    return Unauthenticated("E-mail or password is wrong.", reason="INVALID_CREDENTIALS")
