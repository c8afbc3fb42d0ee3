"""The one schema."""

from copy import copy
from typing import Annotated

import strawberry
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from domain.errors import Invalid
from schema.accounts import AccountMutations, AccountQueries
from schema.api_keys import ApiKeyMutations, ApiKeyQueries
from schema.base import Id, Info, Node
from schema.base_models import BaseModelQueries
from schema.datasets import DatasetMutations, DatasetQueries
from schema.deployments import DeploymentMutations, DeploymentQueries
from schema.documents import DocumentMutations, DocumentQueries
from schema.engine import Schema
from schema.finetune_mutations import FinetuneMutations
from schema.finetunes import FinetuneQueries
from schema.health import HealthQueries
from schema.items import ItemMutations
from schema.jobs import EVENT_TYPES, JobMutations, JobQueries, JobSubscriptions, node_by_id
from schema.loading import settled
from schema.projects import ProjectMutations, ProjectQueries
from schema.request_logs import RequestLog
from schema.scalars import SCALARS
from schema.sharing import SharingExecutor

MAX_NODES = 100


@strawberry.type(description="What can be read.")
class Query(
    AccountQueries,
    ProjectQueries,
    DocumentQueries,
    DatasetQueries,
    BaseModelQueries,
    FinetuneQueries,
    JobQueries,
    DeploymentQueries,
    ApiKeyQueries,
    HealthQueries,
):
    """What can be read."""

    @strawberry.field(description="Any object by id; null where it is unknown or not the viewer's.")
    def node(self, info: Info, id: Id) -> Node | None:
        """By id."""
        return node_by_id(info, id)

    @strawberry.field(description="At most 100 ids; null where an id is unknown or not the viewer's.")
    async def nodes(
        self,
        info: Info,
        ids: Annotated[list[strawberry.ID], strawberry.argument(description="Their TypeIDs, at most 100.")],
    ) -> list[Node | None]:
        """By ids, in their order."""
        if len(ids) > MAX_NODES:
            raise Invalid(
                f"At most {MAX_NODES} ids can be asked for at once.", reason="TOO_MANY", field="ids"
            )
        return await settled([node_by_id(info, id) for id in ids])


@strawberry.type(description="What can be done. Every payload carries `userErrors`.")
class Mutation(
    AccountMutations,
    ProjectMutations,
    DocumentMutations,
    DatasetMutations,
    ItemMutations,
    FinetuneMutations,
    JobMutations,
    DeploymentMutations,
    ApiKeyMutations,
):
    """What can be done."""


@strawberry.type(description="What can be followed.")
class Subscription(JobSubscriptions):
    """What can be followed."""


schema = Schema(
    Query,
    Mutation,
    Subscription,
    types=[*EVENT_TYPES, RequestLog],
    config=StrawberryConfig(scalar_map=SCALARS),
    execution_context_class=SharingExecutor,
)


def schema_of(*, fast: bool) -> Schema:
    """The schema, run by the fast executor or by strawberry's own."""
    if fast:
        return schema
    other = copy(schema)
    other.execution_context_class = StrawberryGraphQLCoreExecutionContext
    return other
