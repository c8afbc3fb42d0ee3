"""API keys of deployments and of accounts. A secret is shown once and never stored."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from domain import ids
from domain.errors import Invalid
from domain.ids import Noun
from domain.reading import Reads
from domain.rules import is_storable_time, validated_name


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """An API key, stored with the SHA-256 digest of its secret; an account's own key has no deployment."""

    id: str
    owner_id: str
    name: str
    prefix: str
    digest: bytes
    deployment_id: str | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None
    created_at: datetime


class ApiKeys(Reads[ApiKey], Protocol):
    """Reads and writes API keys."""

    async def add(self, key: ApiKey) -> None: ...
    async def revoke(self, id: str, *, now: datetime) -> None: ...


def digest_of_secret(secret: str) -> bytes:
    """The SHA-256 digest that is stored in place of a secret."""
    return hashlib.sha256(secret.encode()).digest()


def new_key(
    owner_id: str,
    name: str,
    *,
    now: datetime,
    deployment_id: str | None = None,
    expires_at: datetime | None = None,
) -> tuple[ApiKey, str]:
    """A key and its secret of 32 random bytes; raises `Invalid` when a value breaks a rule."""
    secret = f"lk_{secrets.token_urlsafe(32)}"
    if expires_at is not None and expires_at.tzinfo is None:
        raise Invalid(
            "`expiresAt` needs a time offset, such as Z.", reason="TIME_OFFSET_REQUIRED", field="expiresAt"
        )
    if expires_at is not None and not is_storable_time(expires_at):
        raise Invalid("`expiresAt` must be in the years 1 to 9999.", reason="OUT_OF_RANGE", field="expiresAt")
    if expires_at is not None and expires_at <= now:
        raise Invalid("`expiresAt` must be in the future.", reason="OUT_OF_RANGE", field="expiresAt")
    key = ApiKey(
        id=ids.new(Noun.API_KEY),
        owner_id=owner_id,
        name=validated_name(name, "name"),
        prefix=secret[:10],
        digest=digest_of_secret(secret),
        deployment_id=deployment_id,
        expires_at=expires_at,
        created_at=now,
    )
    return key, secret
