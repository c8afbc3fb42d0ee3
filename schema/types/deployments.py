"""The deployments of the GraphQL API."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from domain import deployments as domain
from domain import request_logs
from domain.deployments import DeploymentFilter, DeploymentStatus, ModelCapability
from domain.ids import Noun
from domain.pages import PageRequest
from domain.reading import Collection, Parent
from resolvers import jobs as resolve_jobs
from schema.execution import ONLY_ID
from schema.shared.connections import Connection, connection, load_connection
from schema.shared.context import Info
from schema.shared.enums import register_enum
from schema.shared.inputs import given_fields
from schema.shared.nodes import NODE_TYPES, Id, Node, convert, load, load_node, node
from schema.types.api_keys import ApiKey
from schema.types.jobs import Job
from schema.types.request_logs import LogFilter, RequestLog

if TYPE_CHECKING:
    from schema.types.finetunes import Finetune
    from schema.types.projects import Project


register_enum(
    DeploymentStatus,
    "Status of a deployment.",
    STARTING="The model is waiting to be loaded or is being loaded.",
    READY="The model was loaded; requests are answered.",
    FAILED="The model could not be loaded; `error` has the reason.",
    STOPPED="Loading was cancelled; requests are not answered.",
)


register_enum(
    ModelCapability,
    "What a model can do beyond answering with free text.",
    TOOLS="Function calling: the chat template renders `tools` and tool calls. "
    "Requests with `tools` to a model that is known to lack it are refused.",
    STRUCTURED_OUTPUT="`response_format` with `json_object` or `json_schema`: the output is constrained to it.",
    REASONING="The chat template has a part for reasoning, which the model may generate before its answer.",
    EMBEDDINGS="The model server computes embeddings of texts.",
)


@node(Noun.DEPLOYMENT, domain.Deployment)
@strawberry.type(description="A model served under a name at its project's OpenAI-compatible endpoint.")
class Deployment(Node):
    record: strawberry.Private[domain.Deployment]
    model_name: str = strawberry.field(
        description="Model name, the `model` of requests, unique within the project; "
        "requests may also name the fine-tune's own `modelName`."
    )
    status: DeploymentStatus = strawberry.field(description="Status of the deployment.")
    error: str | None = strawberry.field(
        description="Why the model could not be loaded, in one sentence; null otherwise."
    )
    capabilities: list[ModelCapability] | None = strawberry.field(
        description="What the model and its chat template can do, as the model server described it when the model "
        "was loaded; null before, and when the server does not say."
    )
    created_at: datetime = strawberry.field(description="Creation time.")

    @classmethod
    def from_domain(cls, record: domain.Deployment) -> "Deployment":
        return convert(cls, record, record=record)

    @strawberry.field(description="The project that the deployment belongs to.")
    def project(self, info: Info) -> Annotated["Project", strawberry.lazy("schema.types.projects")]:
        return load_node(info, self.record.project_id, Noun.PROJECT)

    @strawberry.field(
        description="The fine-tune that is served; null when it is a model of the model runtime's own."
    )
    def finetune(self, info: Info) -> Annotated["Finetune", strawberry.lazy("schema.types.finetunes")] | None:
        return load_node(info, self.record.finetune_id, Noun.FINETUNE)

    @strawberry.field(
        description="Base URL of the OpenAI-compatible endpoint: the `base_url` of an OpenAI client."
    )
    def base_url(self, info: Info) -> str:
        """Under the URL at which the client reached this server, or under the public URL of the settings."""
        return f"{info.context.base_url}/public/{self.record.project_id}"

    @connection("API keys that give access to the deployment, newest first.", metadata=ONLY_ID)
    def api_keys(
        self,
        info: Info,
        page: PageRequest,
    ) -> Connection[ApiKey]:
        return load_connection(info, Collection.API_KEYS, page, parent=self.id, by=Parent.DEPLOYMENT)

    @connection("Request logs of the deployment, newest first.", metadata=ONLY_ID)
    def logs(
        self,
        info: Info,
        page: PageRequest,
        filter: Annotated[
            LogFilter | None,
            strawberry.argument(
                description="Only request logs that match these conditions; all when absent or null."
            ),
        ] = None,
    ) -> Connection[RequestLog]:
        where = request_logs.LogFilter(**given_fields(filter)) if filter else None
        return load_connection(
            info, Collection.REQUEST_LOGS, page, parent=self.id, by=Parent.DEPLOYMENT, where=where
        )

    @strawberry.field(
        description="The newest job of the deployment, which loads the model; null only "
        "when its project is deleted during the operation.",
        metadata=ONLY_ID,
    )
    def job(self, info: Info) -> Job | None:
        return load(info, resolve_jobs.latest, self.id).then(NODE_TYPES[Noun.JOB].from_domain)

    @strawberry.field(
        description="REST path of the download of all request logs as CSV "
        "(`date`, `input`, `output`), oldest first."
    )
    def logs_download_url(self) -> str:
        return f"/api/projects/{self.record.project_id}/deployments/{self.id}/logs_download"


@strawberry.type
class DeploymentQueries:
    @strawberry.field(description="A deployment of the viewer by its id.")
    def deployment(self, info: Info, id: Id) -> Deployment | None:
        return load_node(info, id, Noun.DEPLOYMENT)

    @connection("All deployments of the viewer over every project, newest first.")
    def deployments(
        self,
        info: Info,
        page: PageRequest,
        status: Annotated[
            DeploymentStatus | None,
            strawberry.argument(
                description="Only deployments with this status; any status when absent or null."
            ),
        ] = None,
    ) -> Connection[Deployment]:
        where = DeploymentFilter(status=status)
        return load_connection(info, Collection.DEPLOYMENTS, page, where=where)
