"""The accounts of the GraphQL API."""

from datetime import datetime

import strawberry

from domain import accounts as domain
from domain.ids import Noun
from resolvers import accounts as resolve
from schema.shared.context import Info
from schema.shared.nodes import Node, convert, converted_from, load, load_node, node
from schema.shared.scalars import BigInt


@converted_from(domain.Usage)
@strawberry.type(description="Resource usage of an account.")
class Usage:
    queries_used: int = strawberry.field(
        description="Number of logged requests to the account's deployments; "
        "those of deleted deployments are not counted."
    )
    finetune_jobs: int = strawberry.field(
        description="Number of fine-tunes in any status; deleted ones are not counted."
    )
    datasets_count: int = strawberry.field(
        description="Number of datasets in any status and of uploaded tables (documents of the kind "
        "`DATASET_UPLOAD` whose upload is complete); deleted ones are not counted."
    )
    tokens_used: BigInt = strawberry.field(
        description="Prompt and completion tokens of the logged requests, as counted by the model server."
    )


@node(Noun.USER, domain.User)
@strawberry.type(description="A user account.")
class User(Node):
    viewer_id: strawberry.Private[str | None]
    """The viewer to read `usage` as, where that is not the viewer of the operation."""
    email: str = strawberry.field(description="E-mail address in lower case, used to sign in.")
    name: str = strawberry.field(description="Display name of the user.")
    current_plan: str = strawberry.field(description="Name of the plan: `self-hosted`.")
    billing_cycle: str | None = strawberry.field(
        description="Billing period of the plan; null when nothing is billed, as for `self-hosted`."
    )
    created_at: datetime = strawberry.field(description="Creation time.")

    @classmethod
    def from_domain(cls, record: domain.User, *, viewer_id: str | None = None) -> "User":
        return convert(cls, record, viewer_id=viewer_id)

    @strawberry.field(description="Resource usage of the account.")
    def usage(self, info: Info) -> Usage:
        return load(info, resolve.usage, self.id, self.viewer_id).then(lambda usage: convert(Usage, usage))


@strawberry.type
class AccountQueries:
    @strawberry.field(description="The signed-in user; null when no user is signed in.")
    def viewer(self, info: Info) -> User | None:
        return load_node(info, info.context.viewer, Noun.USER)
