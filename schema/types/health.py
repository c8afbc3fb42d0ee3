"""The health of the GraphQL API."""

import strawberry

from domain.ports import health as domain
from resolvers import health as resolve
from schema.shared.context import Info
from schema.shared.nodes import convert, converted_from


@converted_from(domain.Health)
@strawberry.type(description="Status of the installation.")
class Health:
    status: str = strawberry.field(
        description="`ok`; `degraded` when only the model runtime is not connected; "
        "`unavailable` when the database, queue or storage is not."
    )
    db: str = strawberry.field(description="PostgreSQL database: `connected`, or the reason why not.")
    queue: str = strawberry.field(description="Job queue: `connected`, or the reason why not.")
    storage: str = strawberry.field(description="S3 object storage: `connected`, or the reason why not.")
    llm: str = strawberry.field(description="Model runtime: `connected`, or the reason why not.")
    version: str = strawberry.field(description="Version of Luthier.")


@strawberry.type
class HealthQueries:
    @strawberry.field(description="Status of the installation; needs no bearer token.")
    async def health(self, info: Info) -> Health:
        return convert(Health, await resolve.check(info.context))
