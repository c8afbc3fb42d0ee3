"""Passwords by argon2, bearer tokens and tickets by JWT."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

ALGORITHM = "HS256"
TOKEN_LIFE = timedelta(days=7)
TICKET_LIFE = timedelta(minutes=10)
BEARER, TICKET = "luthier", "luthier-ticket"


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

    def issue(self, user_id: str) -> tuple[str, datetime]:
        """A bearer token and when it ends."""
        return self._sign({"sub": user_id, "aud": BEARER}, TOKEN_LIFE)

    def viewer_id(self, token: str) -> str | None:
        """Whose bearer token it is."""
        return self._read(token, BEARER).get("sub")

    def ticket(self, user_id: str, path: str) -> tuple[str, datetime]:
        """A token that opens one REST path, and when it ends."""
        return self._sign({"sub": user_id, "aud": TICKET, "path": path}, TICKET_LIFE)

    def ticket_viewer_id(self, ticket: str, path: str) -> str | None:
        """Whose ticket it is, if it is for this path."""
        claims = self._read(ticket, TICKET)
        return claims.get("sub") if claims.get("path") == path else None

    def _sign(self, claims: dict[str, str], life: timedelta) -> tuple[str, datetime]:
        ends = datetime.now(UTC).replace(microsecond=0) + life
        return jwt.encode({**claims, "exp": ends}, self._secret, ALGORITHM), ends

    def _read(self, token: str, audience: str) -> dict[str, Any]:
        try:
            return jwt.decode(
                token,
                self._secret,
                algorithms=[ALGORITHM],
                audience=audience,
                options={"require": ["exp", "sub"]},
            )
        except jwt.InvalidTokenError:
            return {}
