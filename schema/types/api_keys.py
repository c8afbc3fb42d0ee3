"""The API keys of the GraphQL API."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from domain import api_keys as domain
from domain.ids import Noun
from domain.pages import PageRequest
from domain.reading import Collection
from schema.shared.connections import Connection, connection, load_connection
from schema.shared.context import Info
from schema.shared.nodes import Node, convert, load_node, node

if TYPE_CHECKING:
    from schema.types.deployments import Deployment


@node(Noun.API_KEY, domain.ApiKey)
@strawberry.type(
    description="An API key: the bearer token of requests to a deployment. Its secret is "
    "returned once, at creation; only a SHA-256 digest of it is stored."
)
class ApiKey(Node):
    record: strawberry.Private[domain.ApiKey]
    name: str = strawberry.field(description="Display name, to tell keys apart.")
    prefix: str = strawberry.field(description="First 10 characters of the secret, to recognize the key.")
    expires_at: datetime | None = strawberry.field(
        description="Expiry time; null when the API key does not expire."
    )
    revoked_at: datetime | None = strawberry.field(
        description="Time of revocation; null when the API key is not revoked."
    )
    last_used_at: datetime | None = strawberry.field(
        description="Time of the last logged request, updated at most once a minute; null before the first."
    )
    created_at: datetime = strawberry.field(description="Creation time.")

    @classmethod
    def from_domain(cls, record: domain.ApiKey) -> "ApiKey":
        return convert(cls, record, record=record)

    @strawberry.field(
        description="The deployment that the API key gives access to; null for a key "
        "of the account, which no endpoint accepts yet."
    )
    def deployment(
        self, info: Info
    ) -> Annotated["Deployment", strawberry.lazy("schema.types.deployments")] | None:
        return load_node(info, self.record.deployment_id, Noun.DEPLOYMENT)


@strawberry.type
class ApiKeyQueries:
    @connection("All API keys of the viewer, those without a deployment included, newest first.")
    def api_keys(
        self,
        info: Info,
        page: PageRequest,
    ) -> Connection[ApiKey]:
        return load_connection(info, Collection.API_KEYS, page)
