"""The API keys of the GraphQL API."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from domain import api_keys as domain
from domain.pages import Page
from resolvers import api_keys as resolve
from schema.base import Info, Node, lookup, mirror, noun, optional, or_none
from schema.connections import After, Before, Connection, First, Last, connect
from schema.mutations import REPLAY_OF_SECRET, Payload, mutation, outcome

if TYPE_CHECKING:
    from schema.deployments import Deployment


@noun
@strawberry.type(
    description="A key without a deployment is the account's own, for /v1. The secret is shown once, when the "
    "key is made; only its digest is kept."
)
class ApiKey(Node):
    """An API key."""

    it: strawberry.Private[domain.ApiKey]
    name: str = strawberry.field(description="What it is called.")
    prefix: str = strawberry.field(description="How its secret begins, to know it again.")
    expires_at: datetime | None = strawberry.field(description="From when on it is refused.")
    revoked_at: datetime | None = strawberry.field(description="When it was revoked.")
    last_used_at: datetime | None = strawberry.field(description="When it was used last, to the minute.")
    created_at: datetime = strawberry.field(description="When it was made.")

    @classmethod
    def of(cls, it: domain.ApiKey) -> "ApiKey":
        """A key as the API shows it."""
        return mirror(cls, it, it=it)

    @strawberry.field(description="The deployment that it opens; null where it is the account's own.")
    def deployment(self, info: Info) -> Annotated["Deployment", strawberry.lazy("schema.deployments")] | None:
        """Loaded with the others."""
        return lookup(info, self.it.deployment_id, "Deployment")


@strawberry.type
class ApiKeyQueries:
    """The keys of the root query."""

    @strawberry.field(description="All of the viewer's keys, newest first; the account's own among them.")
    def api_keys(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[ApiKey]:
        """A page of them."""
        return connect(info, "ApiKey", Page.of(first, after, last, before))


@strawberry.input(description="A new key.")
class CreateApiKeyInput:
    """A new key."""

    deployment_id: strawberry.ID | None = optional("What it opens; the account itself where it is absent.")
    name: str = strawberry.field(description="What to call it, at most 200 characters.")
    expires_at: datetime | None = optional(
        "From when on it is refused, in the future; never where it is absent."
    )
    idempotency_key: str | None = optional(REPLAY_OF_SECRET)


@strawberry.type(description="The new key and its secret, which is shown this once.")
class CreateApiKeyPayload(Payload):
    """The new key and its secret."""

    api_key: ApiKey | None = outcome("The key.")
    secret: str | None = outcome("What to send as the bearer token; only its digest is kept.")


@strawberry.input(description="Which key to revoke.")
class RevokeApiKeyInput:
    """Which key to revoke."""

    id: strawberry.ID = strawberry.field(description="The key's TypeID.")


@strawberry.type(description="The revoked key.")
class RevokeApiKeyPayload(Payload):
    """The revoked key."""

    api_key: ApiKey | None = outcome("The key, with `revokedAt`.")


@strawberry.type
class ApiKeyMutations:
    """What may be done with keys."""

    @mutation
    async def create_api_key(self, info: Info, input: CreateApiKeyInput) -> CreateApiKeyPayload:
        """Makes a further key of a deployment, or one of the account's own."""
        key, secret = await resolve.create(
            info.context,
            or_none(input.deployment_id),
            input.name,
            or_none(input.expires_at),
            or_none(input.idempotency_key),
        )
        return CreateApiKeyPayload(api_key=ApiKey.of(key), secret=secret)

    @mutation
    async def revoke_api_key(self, info: Info, input: RevokeApiKeyInput) -> RevokeApiKeyPayload:
        """Refuses a key from now on; a second call changes nothing."""
        return RevokeApiKeyPayload(api_key=ApiKey.of(await resolve.revoke(info.context, input.id)))
