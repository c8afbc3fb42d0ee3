"""The API keys of the GraphQL API."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from domain import api_keys as domain
from domain.ids import Noun
from domain.pages import Page
from domain.reading import Collection
from schema.shared.connections import Connection, connect, connection
from schema.shared.context import Info
from schema.shared.nodes import Node, lookup, mirror, noun

if TYPE_CHECKING:
    from schema.types.deployments import Deployment


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
    def deployment(
        self, info: Info
    ) -> Annotated["Deployment", strawberry.lazy("schema.types.deployments")] | None:
        """Loaded with the others."""
        return lookup(info, self.it.deployment_id, Noun.DEPLOYMENT)


@strawberry.type
class ApiKeyQueries:
    """The keys of the root query."""

    @connection("All of the viewer's keys, newest first; the account's own among them.")
    def api_keys(
        self,
        info: Info,
        page: Page,
    ) -> Connection[ApiKey]:
        """A page of them."""
        return connect(info, Collection.API_KEYS, page)
