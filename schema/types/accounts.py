"""The accounts of the GraphQL API."""

from datetime import datetime

import strawberry

from domain import accounts as domain
from domain.ids import Noun
from resolvers import accounts as resolve
from schema.execution import ONLY_ID
from schema.shared.context import Info
from schema.shared.nodes import Node, load, lookup, mirror, noun
from schema.shared.scalars import BigInt


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

    @strawberry.field(description="What the account has used so far.", metadata=ONLY_ID)
    def usage(self, info: Info) -> Usage:
        """Counted when asked for."""
        return load(info, resolve.usage, self.id).then(lambda it: mirror(Usage, it))


@strawberry.type
class AccountQueries:
    """The accounts of the root query."""

    @strawberry.field(description="Who is signed in; null for nobody.")
    def viewer(self, info: Info) -> User | None:
        """The account of the bearer token."""
        return lookup(info, info.context.viewer, Noun.USER)
