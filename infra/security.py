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
TOKEN_LIFE = timedelta(days=7)
TICKET_LIFE = timedelta(minutes=10)
BEARER, TICKET = "luthier", "luthier-ticket"
REMEMBERED = 1_024
"""Tokens whose signature is not computed again for each request."""
LONGEST = 1_024
"""Characters of a token; ours have about 200."""


class Argon2Passwords:
    """Hashes in threads, a few at a time: each hash takes 64 MiB and a core."""

    def __init__(self, hasher: PasswordHasher | None = None, *, at_once: int = 2) -> None:
        self._hasher = hasher or PasswordHasher()
        self._turn = asyncio.Semaphore(at_once)
        self._nobody: str | None = None

    async def hash(self, password: str) -> str:
        """A salted hash."""
        async with self._turn:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether it is the password; for an unknown account a hash that nobody has is tried instead."""
        if self._nobody is None:
            self._nobody = await self.hash("nobody's password")
        async with self._turn:
            matches = await asyncio.to_thread(self._matches, password_hash or self._nobody, password)
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
        self._verified = lru_cache(maxsize=REMEMBERED)(self._viewer)

    def issue(self, user_id: str) -> tuple[str, datetime]:
        """A bearer token and when it ends."""
        return self._sign({"sub": user_id, "aud": BEARER}, TOKEN_LIFE)

    def viewer(self, token: str) -> Viewer | None:
        """Whose bearer token it is; its signature is not verified again for as long as it is remembered."""
        try:
            viewer = self._verified(token) if len(token) <= LONGEST else None
        except jwt.InvalidTokenError:  # which is not remembered: garbage crowds no token out
            return None
        return viewer if viewer and viewer.until > datetime.now(UTC) else None

    def ticket(self, user_id: str, path: str, until: datetime | None = None) -> tuple[str, datetime]:
        """A token that opens one REST path, and when it ends; what it opened may go on to `until`."""
        claims: dict[str, Any] = {"sub": user_id, "aud": TICKET, "path": path}
        if until is not None:
            claims["until"] = int(until.timestamp())
        return self._sign(claims, TICKET_LIFE)

    def ticket_viewer(self, ticket: str, path: str) -> Viewer | None:
        """Whose ticket it is, if it is for this path; one that was made with no bearer token has its own end."""
        try:
            claims = self._claims(ticket, TICKET)
        except jwt.InvalidTokenError:
            return None
        until = datetime.fromtimestamp(claims.get("until", claims["exp"]), UTC)
        return Viewer(claims["sub"], until) if claims.get("path") == path else None

    def _viewer(self, token: str) -> Viewer:
        claims = self._claims(token, BEARER)
        return Viewer(claims["sub"], datetime.fromtimestamp(claims["exp"], UTC))

    def _sign(self, claims: dict[str, Any], life: timedelta) -> tuple[str, datetime]:
        ends = datetime.now(UTC).replace(microsecond=0) + life
        return jwt.encode({**claims, "exp": ends}, self._secret, ALGORITHM), ends

    def _claims(self, token: str, audience: str) -> dict[str, Any]:
        return jwt.decode(
            token,
            self._secret,
            algorithms=[ALGORITHM],
            audience=audience,
            options={"require": ["exp", "sub"]},
        )
