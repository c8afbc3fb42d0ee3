"""The accounts of the GraphQL API."""

from datetime import datetime
from typing import TypeVar

import strawberry

from domain import accounts as domain
from resolvers import accounts as resolve
from schema.base import Info, Node, load, lookup, mirror, noun
from schema.calls import BY_ID
from schema.mutations import Payload, mutation, outcome
from schema.scalars import BigInt


@strawberry.type(description="What an account has used so far.")
class Usage:
    """What an account has used so far."""

    queries_used: int = strawberry.field(description="Requests that its deployments answered.")
    finetune_jobs: int = strawberry.field(description="Fine-tunes it has.")
    datasets_count: int = strawberry.field(description="Datasets it has.")
    tokens_used: BigInt = strawberry.field(description="Tokens that its deployments read and wrote.")


@noun
@strawberry.type(description="A person with an account.")
class User(Node):
    """A person with an account."""

    email: str = strawberry.field(description="The e-mail address, lower case.")
    name: str = strawberry.field(description="What the person is called.")
    current_plan: str = strawberry.field(description="The plan.")
    billing_cycle: str | None = strawberry.field(description="How the plan is billed; null where nothing is.")
    created_at: datetime = strawberry.field(description="When the account was made.")

    @classmethod
    def of(cls, it: domain.User) -> "User":
        """An account as the API shows it."""
        return mirror(cls, it)

    @strawberry.field(description="What the account has used so far.", metadata=BY_ID)
    def usage(self, info: Info) -> Usage:
        """Counted when asked for."""
        return load(info, resolve.usage, self.id).then(lambda it: mirror(Usage, it))


@strawberry.type
class AccountQueries:
    """The accounts of the root query."""

    @strawberry.field(description="Who is signed in; null for nobody.")
    def viewer(self, info: Info) -> User | None:
        """The account of the bearer token."""
        return lookup(info, info.context.viewer, "User")


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
        return _signed_in(RegisterPayload, made)

    @mutation
    async def login(self, info: Info, input: LoginInput) -> LoginPayload:
        """A bearer token for an account."""
        return _signed_in(LoginPayload, await resolve.login(info.context, input.email, input.password))


def _signed_in(payload: type[P], session: domain.Session) -> P:
    return payload(
        user=User.of(session.user),
        access_token=session.access_token,
        token_type="bearer",  # noqa: S106 - its kind, not the token
        expires_at=session.expires_at,
    )
