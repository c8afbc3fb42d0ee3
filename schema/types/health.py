"""The health of the GraphQL API."""

import strawberry

from resolvers import health as resolve
from schema.shared.context import Info
from schema.shared.nodes import mirror


@strawberry.type(description="Whether the parts of the installation answer.")
class Health:
    """Whether the parts of the installation answer."""

    status: str = strawberry.field(
        description="`ok`, `degraded` while models do not answer, or `unavailable`."
    )
    db: str = strawberry.field(description="PostgreSQL: `connected`, or why not.")
    queue: str = strawberry.field(description="The job queue: `connected`, or why not.")
    storage: str = strawberry.field(description="S3: `connected`, or why not.")
    llm: str = strawberry.field(description="The model runtime: `connected`, or why not.")
    version: str = strawberry.field(description="Luthier's version.")


@strawberry.type
class HealthQueries:
    """The health of the root query."""

    @strawberry.field(description="Whether the parts of the installation answer; anyone may ask.")
    async def health(self, info: Info) -> Health:
        """Asked now."""
        return mirror(Health, await resolve.check(info.context))
