"""Signing up, and who is signed in."""

from domain.accounts import User
from domain.errors import Conflict, SignInRequired
from domain.store import Store


async def register(store: Store, user: User) -> User:
    """Add an account; raises `Conflict` when the e-mail has one."""
    if not await store.accounts.add(user):
        raise Conflict("An account with this e-mail exists already.", reason="EMAIL_TAKEN", field="email")
    return user


async def require(store: Store, viewer_id: str) -> User:
    """The viewer's account; raises `SignInRequired` when its token outlived it."""
    user = await store.accounts.get(viewer_id, viewer_id=viewer_id)
    if user is None:
        raise SignInRequired
    return user
