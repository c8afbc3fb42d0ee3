"""Signing up and signing in."""

from datetime import datetime
from typing import TypeVar

import strawberry

from domain.ports import tokens as domain
from resolvers import accounts as resolve
from schema.shared.context import Info
from schema.shared.payloads import Payload, mutation, payload_field
from schema.types.accounts import User


@strawberry.input(description="The account to create.")
class RegisterInput:
    email: str = strawberry.field(
        description="E-mail address, at most 254 characters, not case-sensitive; each account has its own."
    )
    password: str = strawberry.field(description="Password of 6 to 1,000 characters.")
    name: str = strawberry.field(description="Display name, at most 200 characters.")


@strawberry.input(description="Credentials of an account.")
class LoginInput:
    email: str = strawberry.field(description="E-mail address of the account, not case-sensitive.")
    password: str = strawberry.field(description="Password of the account.")


@strawberry.type(description="Result of `register`.")
class RegisterPayload(Payload):
    user: User | None = payload_field("The signed-in user.")
    access_token: str | None = payload_field("Bearer token, to be sent as `Authorization: Bearer …`.")
    token_type: str | None = payload_field("Type of the token: `bearer`.")
    expires_at: datetime | None = payload_field("Expiry time of the token, 7 days after it is issued.")


@strawberry.type(description="Result of `login`.")
class LoginPayload(Payload):
    user: User | None = payload_field("The signed-in user.")
    access_token: str | None = payload_field("Bearer token, to be sent as `Authorization: Bearer …`.")
    token_type: str | None = payload_field("Type of the token: `bearer`.")
    expires_at: datetime | None = payload_field("Expiry time of the token, 7 days after it is issued.")


P = TypeVar("P", RegisterPayload, LoginPayload)


@strawberry.type
class AccountMutations:
    @mutation
    async def register(self, info: Info, input: RegisterInput) -> RegisterPayload:
        """Creates an account and signs it in."""
        created = await resolve.register(info.context, input.email, input.password, input.name)
        return _signed_in(RegisterPayload, created)

    @mutation
    async def login(self, info: Info, input: LoginInput) -> LoginPayload:
        """Signs in with e-mail address and password, and issues a bearer token."""
        session = await resolve.login(info.context, input.email, input.password)
        return _signed_in(LoginPayload, session)


def _signed_in(payload: type[P], session: domain.Session) -> P:
    return payload(
        user=User.from_domain(session.user, viewer_id=session.user.id),
        access_token=session.access_token,
        token_type="bearer",  # noqa: S106 - its kind, not the token
        expires_at=session.expires_at,
    )
