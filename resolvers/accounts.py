"""Resolvers of accounts. Passwords are hashed outside of transactions, for that is slow by design."""

from collections.abc import Mapping

from domain.accounts import (
    Usage,
    User,
    invalid_credentials_error,
    new_user,
    validated_email,
    validated_password,
)
from domain.ports.tokens import Session
from domain.rate_limits import CallKind, authentication_calls
from domain.use_cases import accounts
from resolvers.context import Context


async def register(context: Context, email: str, password: str, name: str) -> Session:
    """Register an account; returns a session."""
    validated_email(email)
    validated_password(password)
    await _count(context, CallKind.SIGN_UP, email)
    hashed = await context.services.passwords.hash(password)
    user = new_user(email, name, hashed, now=context.now())
    async with context.transactions.begin() as store:
        await accounts.register(store, user)
    return _session(context, user)


async def login(context: Context, email: str, password: str) -> Session:
    """Sign in; an unknown e-mail and a wrong password raise the same error.

    Raises `RateLimited` before the password is verified.
    """
    await _count(context, CallKind.SIGN_IN, email)
    async with context.transactions.read() as store:
        user = await store.accounts.by_email(email.strip().lower())
    if (
        not await context.services.passwords.verify(user.password_hash if user else None, password)
        or not user
    ):
        raise invalid_credentials_error()
    await _reset(context, CallKind.SIGN_IN, email)
    return _session(context, user)


async def _count(context: Context, kind: CallKind, email: str) -> None:
    """Count an attempt; raises `RateLimited`."""
    if (rate_limiter := context.services.rate_limiter) is not None:
        await rate_limiter.hit(authentication_calls(kind, email, context.address))


async def _reset(context: Context, kind: CallKind, email: str) -> None:
    """Reset the count of an account whose owner has signed in."""
    if (rate_limiter := context.services.rate_limiter) is not None:
        await rate_limiter.reset(authentication_calls(kind, email, context.address)[0])


def _session(context: Context, user: User) -> Session:
    return Session(user, *context.services.tokens.issue(user.id))


async def usage(context: Context, ids: list[str], viewer_id: str | None) -> Mapping[str, Usage]:
    """The usage of a viewer, who is the context's where none is given; other accounts are absent."""
    viewer = viewer_id or context.viewer_id
    if viewer not in ids:
        return {}
    async with context.transactions.read() as store:
        return {viewer: await store.accounts.usage(viewer_id=viewer)}
