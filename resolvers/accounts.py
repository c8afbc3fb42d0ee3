"""Answers for accounts. Passwords are hashed outside any transaction: it is slow by design."""

from collections.abc import Mapping

from domain import accounts
from domain.accounts import Session, Usage, User
from resolvers.context import Context


async def register(context: Context, email: str, password: str, name: str) -> Session:
    """A new account, signed in."""
    accounts.checked_email(email)
    hashed = await context.services.passwords.hash(accounts.checked_password(password))
    user = accounts.new_user(email, name, hashed, now=context.now())
    async with context.transactions.begin() as store:
        await accounts.register(store, user)
    return _session(context, user)


async def login(context: Context, email: str, password: str) -> Session:
    """The account with this e-mail and password; an unknown e-mail and a wrong password answer alike."""
    async with context.transactions.begin() as store:
        user = await store.accounts.by_email(email.strip().lower())
    if (
        not await context.services.passwords.verify(user.password_hash if user else None, password)
        or not user
    ):
        raise accounts.wrong_credentials()
    return _session(context, user)


def _session(context: Context, user: User) -> Session:
    context.viewer = user.id  # the payload's own fields are read as the new viewer
    return Session(user, *context.services.tokens.issue(user.id))


async def usage(context: Context, ids: list[str]) -> Mapping[str, Usage]:
    """What the viewer has used; nobody else's is told."""
    viewer = context.viewer_id
    if viewer not in ids:
        return {}
    async with context.transactions.begin() as store:
        return {viewer: await store.accounts.usage(viewer_id=viewer)}
