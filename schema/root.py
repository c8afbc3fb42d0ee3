"""The schema of the application."""

from copy import copy
from typing import Annotated

import strawberry
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from domain.errors import Invalid
from schema.engine import Schema
from schema.execution import SharingExecutor, resolve_deferred
from schema.mutations.accounts import AccountMutations
from schema.mutations.api_keys import ApiKeyMutations
from schema.mutations.base_models import BaseModelMutations
from schema.mutations.datasets import DatasetMutations
from schema.mutations.deployments import DeploymentMutations
from schema.mutations.documents import DocumentMutations
from schema.mutations.finetunes import FinetuneMutations
from schema.mutations.items import ItemMutations
from schema.mutations.jobs import JobMutations
from schema.mutations.projects import ProjectMutations
from schema.shared.context import Info
from schema.shared.nodes import Id, Node, load_any_node
from schema.shared.scalars import SCALARS
from schema.types.accounts import AccountQueries
from schema.types.api_keys import ApiKeyQueries
from schema.types.base_models import BaseModelQueries
from schema.types.datasets import DatasetQueries
from schema.types.deployments import DeploymentQueries
from schema.types.documents import DocumentQueries
from schema.types.finetunes import FinetuneQueries
from schema.types.health import HealthQueries
from schema.types.job_events import EVENT_TYPES, JobSubscriptions
from schema.types.jobs import JobQueries
from schema.types.projects import ProjectQueries
from schema.types.request_logs import RequestLog
from schema.types.tickets import TicketQueries

MAX_NODES = 100


@strawberry.type(description="Root of all queries.")
class Query(
    AccountQueries,
    ProjectQueries,
    DocumentQueries,
    TicketQueries,
    DatasetQueries,
    BaseModelQueries,
    FinetuneQueries,
    JobQueries,
    DeploymentQueries,
    ApiKeyQueries,
    HealthQueries,
):
    @strawberry.field(description="Any object by its id.")
    def node(self, info: Info, id: Id) -> Node | None:
        return load_any_node(info, id)

    @strawberry.field(
        description="Objects by their ids, in the given order, with null for each "
        "id that is unknown or belongs to another user."
    )
    async def nodes(
        self,
        info: Info,
        ids: Annotated[list[strawberry.ID], strawberry.argument(description="TypeIDs, at most 100.")],
    ) -> list[Node | None]:
        """Raises `Invalid` for more than `MAX_NODES`."""
        if len(ids) > MAX_NODES:
            raise Invalid(
                f"At most {MAX_NODES} ids can be asked for at once.", reason="TOO_MANY", field="ids"
            )
        return await resolve_deferred([load_any_node(info, id) for id in ids])


@strawberry.type(description="Root of all mutations; every payload has `userErrors`.")
class Mutation(
    AccountMutations,
    ProjectMutations,
    DocumentMutations,
    DatasetMutations,
    ItemMutations,
    BaseModelMutations,
    FinetuneMutations,
    JobMutations,
    DeploymentMutations,
    ApiKeyMutations,
):
    pass


@strawberry.type(description="Root of all subscriptions.")
class Subscription(JobSubscriptions):
    pass


schema = Schema(
    Query,
    Mutation,
    Subscription,
    types=[*EVENT_TYPES, RequestLog],
    config=StrawberryConfig(scalar_map=SCALARS),
    execution_context_class=SharingExecutor,
)


def schema_with_executor(*, by_column: bool) -> Schema:
    """The schema with the column executor, or with strawberry's own."""
    if by_column:
        return schema
    with_stock_executor = copy(schema)
    with_stock_executor.execution_context_class = StrawberryGraphQLCoreExecutionContext
    return with_stock_executor
