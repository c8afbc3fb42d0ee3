"""Answers for accounts. Passwords are hashed outside any transaction: it is slow by design."""

from collections.abc import Mapping

from domain.accounts import Usage, User, checked_email, checked_password, new_user, wrong_credentials
from domain.ports.tokens import Session
from domain.rate_limits import CallKind, attempt
from domain.use_cases import accounts
from resolvers.context import Context


async def register(context: Context, email: str, password: str, name: str) -> Session:
    """A new account, signed in."""
    checked_email(email)
    checked_password(password)
    await _count(context, CallKind.SIGN_UP, email)
    hashed = await context.services.passwords.hash(password)
    user = new_user(email, name, hashed, now=context.now())
    async with context.transactions.begin() as store:
        await accounts.register(store, user)
    return _session(context, user)


async def login(context: Context, email: str, password: str) -> Session:
    """The account with this e-mail and password; an unknown e-mail and a wrong password answer alike.

    Raises `RateLimited`, before the password is looked at.
    """
    await _count(context, CallKind.SIGN_IN, email)
    async with context.transactions.begin() as store:
        user = await store.accounts.by_email(email.strip().lower())
    if (
        not await context.services.passwords.verify(user.password_hash if user else None, password)
        or not user
    ):
        raise wrong_credentials()
    await _forget(context, CallKind.SIGN_IN, email)
    return _session(context, user)


async def _count(context: Context, kind: CallKind, email: str) -> None:
    """Count an attempt; raises `RateLimited`."""
    if (rates := context.services.rates) is not None:
        await rates.hit(attempt(kind, email, context.address))


async def _forget(context: Context, kind: CallKind, email: str) -> None:
    """Whoever proved to own the account begins anew."""
    if (rates := context.services.rates) is not None:
        await rates.forget(attempt(kind, email, context.address)[0])


def _session(context: Context, user: User) -> Session:
    return Session(user, *context.services.tokens.issue(user.id))


async def usage(context: Context, ids: list[str]) -> Mapping[str, Usage]:
    """What the viewer has used; nobody else's is told."""
    viewer = context.viewer_id
    if viewer not in ids:
        return {}
    async with context.transactions.read() as store:
        return {viewer: await store.accounts.usage(viewer_id=viewer)}
