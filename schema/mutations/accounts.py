"""Signing up and signing in."""

from datetime import datetime
from typing import TypeVar

import strawberry

from domain.ports import tokens as domain
from resolvers import accounts as resolve
from schema.shared.context import Info
from schema.shared.payloads import Payload, mutation, outcome
from schema.types.accounts import User


@strawberry.input(description="A new account.")
class RegisterInput:
    """A new account."""

    email: str = strawberry.field(
        description="The e-mail address; capitals count as small letters, and no other account may have it."
    )
    password: str = strawberry.field(description="6 to 1,000 characters.")
    name: str = strawberry.field(description="What the person is called, at most 200 characters.")


@strawberry.input(description="Who signs in.")
class LoginInput:
    """Who signs in."""

    email: str = strawberry.field(
        description="The e-mail address of the account; capitals count as small letters."
    )
    password: str = strawberry.field(description="The password of the account.")


@strawberry.type(description="A signed-in account and its bearer token.")
class RegisterPayload(Payload):
    """A signed-in account and its bearer token."""

    user: User | None = outcome("Who is signed in now.")
    access_token: str | None = outcome("To be sent as `Authorization: Bearer …`.")
    token_type: str | None = outcome("How the token is sent: `bearer`.")
    expires_at: datetime | None = outcome("When the token ends.")


@strawberry.type(description="A signed-in account and its bearer token.")
class LoginPayload(Payload):
    """A signed-in account and its bearer token."""

    user: User | None = outcome("Who is signed in now.")
    access_token: str | None = outcome("To be sent as `Authorization: Bearer …`.")
    token_type: str | None = outcome("How the token is sent: `bearer`.")
    expires_at: datetime | None = outcome("When the token ends.")


P = TypeVar("P", RegisterPayload, LoginPayload)


@strawberry.type
class AccountMutations:
    """Signing up and in."""

    @mutation
    async def register(self, info: Info, input: RegisterInput) -> RegisterPayload:
        """A new account, signed in. A password needs at least 6 characters."""
        made = await resolve.register(info.context, input.email, input.password, input.name)
        return _signed_in(info, RegisterPayload, made)

    @mutation
    async def login(self, info: Info, input: LoginInput) -> LoginPayload:
        """A bearer token for an account."""
        session = await resolve.login(info.context, input.email, input.password)
        return _signed_in(info, LoginPayload, session)


def _signed_in(info: Info, payload: type[P], session: domain.Session) -> P:
    info.context.viewer = session.user.id  # the fields of the payload are read as the new viewer
    return payload(
        user=User.of(session.user),
        access_token=session.access_token,
        token_type="bearer",  # noqa: S106 - its kind, not the token
        expires_at=session.expires_at,
    )
