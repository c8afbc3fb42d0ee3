"""Use cases of accounts."""

from domain.accounts import User
from domain.errors import Conflict, SignInRequired
from domain.store import ReadStore, Store


async def register(store: Store, user: User) -> User:
    """Add an account; raises `Conflict` when its e-mail address has one already."""
    if not await store.accounts.add(user):
        raise Conflict("An account with this e-mail exists already.", reason="EMAIL_TAKEN", field="email")
    return user


async def require(store: ReadStore, viewer_id: str) -> User:
    """The viewer's account; raises `SignInRequired` when it was deleted after the token was issued."""
    user = await store.accounts.get(viewer_id, viewer_id=viewer_id)
    if user is None:
        raise SignInRequired
    return user
