"""Passwords by argon2, bearer tokens and tickets by JWT."""

import asyncio
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import jwt
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from domain.ports.tokens import Viewer

ALGORITHM = "HS256"
TOKEN_TTL = timedelta(days=7)
TICKET_TTL = timedelta(minutes=10)
BEARER, TICKET = "luthier", "luthier-ticket"
TOKEN_CACHE_SIZE = 1_024
"""So many verified tokens are cached, so that not every request verifies a signature."""
MAX_TOKEN_LENGTH = 1_024
"""In characters; our own tokens have about 200."""


class Argon2Passwords:
    """Hashes in threads, a few at a time: each hash needs 64 MiB and a core."""

    def __init__(self, hasher: PasswordHasher | None = None, *, concurrency: int = 2) -> None:
        self._hasher = hasher or PasswordHasher()
        self._slots = asyncio.Semaphore(concurrency)
        self._dummy_hash: str | None = None

    async def hash(self, password: str) -> str:
        async with self._slots:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether it is the password. Without a hash a dummy one is verified, which takes the same time."""
        if self._dummy_hash is None:
            self._dummy_hash = await self.hash("a password of no account")
        async with self._slots:
            matches = await asyncio.to_thread(self._matches, password_hash or self._dummy_hash, password)
        return matches and password_hash is not None

    def _matches(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False


class JwtTokens:
    """Issues and reads tokens signed with one secret; the algorithm is pinned."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._verified = lru_cache(maxsize=TOKEN_CACHE_SIZE)(self._viewer)

    def issue(self, user_id: str) -> tuple[str, datetime]:
        """A bearer token and when it expires."""
        return self._sign({"sub": user_id, "aud": BEARER}, TOKEN_TTL)

    def viewer(self, token: str) -> Viewer | None:
        """The viewer of a bearer token; its signature is not verified again while it is cached."""
        try:
            viewer = self._verified(token) if len(token) <= MAX_TOKEN_LENGTH else None
        except jwt.InvalidTokenError:  # which is not cached: garbage evicts no token
            return None
        return viewer if viewer and viewer.expires_at > datetime.now(UTC) else None

    def ticket(self, user_id: str, path: str, until: datetime | None = None) -> tuple[str, datetime]:
        """A token for one REST path, and when it expires; the response may go on to `until`."""
        claims: dict[str, Any] = {"sub": user_id, "aud": TICKET, "path": path}
        if until is not None:
            claims["until"] = int(until.timestamp())
        return self._sign(claims, TICKET_TTL)

    def ticket_viewer(self, ticket: str, path: str) -> Viewer | None:
        """The viewer of a ticket for this path, None for any other; its `until` is its own expiry where it names none."""
        try:
            claims = self._claims(ticket, TICKET)
        except jwt.InvalidTokenError:
            return None
        until = datetime.fromtimestamp(claims.get("until", claims["exp"]), UTC)
        return Viewer(claims["sub"], until) if claims.get("path") == path else None

    def _viewer(self, token: str) -> Viewer:
        claims = self._claims(token, BEARER)
        return Viewer(claims["sub"], datetime.fromtimestamp(claims["exp"], UTC))

    def _sign(self, claims: dict[str, Any], ttl: timedelta) -> tuple[str, datetime]:
        ends = datetime.now(UTC).replace(microsecond=0) + ttl
        return jwt.encode({**claims, "exp": ends}, self._secret, ALGORITHM), ends

    def _claims(self, token: str, audience: str) -> dict[str, Any]:
        return jwt.decode(
            token,
            self._secret,
            algorithms=[ALGORITHM],
            audience=audience,
            options={"require": ["exp", "sub"]},
        )
