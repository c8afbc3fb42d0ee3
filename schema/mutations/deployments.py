"""Creating and deleting deployments."""

import strawberry

from resolvers import deployments as resolve
from schema.shared.context import Info
from schema.shared.inputs import optional, or_none
from schema.shared.payloads import (
    SECRET_IDEMPOTENCY_KEY,
    DeleteInput,
    DeletePayload,
    Payload,
    mutation,
    payload_field,
)
from schema.types.deployments import Deployment
from schema.types.jobs import Job


@strawberry.input(
    description="The model to deploy: a fine-tune by id or model name, or a model of the "
    "model runtime by name. `finetuneId` or `modelName` is required."
)
class CreateDeploymentInput:
    project_id: strawberry.ID = strawberry.field(
        description="Project whose endpoint serves the model; must be `ACTIVE`."
    )
    model_name: str | None = optional(
        "Model name for requests, at most 400 characters. Without `finetuneId` it selects the model; "
        "with it, any name is possible, and the fine-tune's `modelName` the default."
    )
    finetune_id: strawberry.ID | None = optional("Fine-tune of the project whose model has been exported.")
    idempotency_key: str | None = optional(SECRET_IDEMPOTENCY_KEY)


@strawberry.type(description="Result of `createDeployment`.")
class CreateDeploymentPayload(Payload):
    deployment: Deployment | None = payload_field("The new deployment, `STARTING` at first.")
    job: Job | None = payload_field("The job that loads the model, which `jobEvents` follows.")
    api_key: str | None = payload_field(
        "Secret of the deployment's first API key. Returned only once: "
        "null when the idempotency key was used before."
    )


@strawberry.type
class DeploymentMutations:
    @mutation
    async def create_deployment(self, info: Info, input: CreateDeploymentInput) -> CreateDeploymentPayload:
        """Deploys a model at the project's OpenAI-compatible endpoint, with a first API key."""
        created = await resolve.create(
            info.context,
            input.project_id,
            or_none(input.model_name),
            or_none(input.finetune_id),
            or_none(input.idempotency_key),
        )
        return CreateDeploymentPayload(
            deployment=Deployment.from_domain(created.deployment),
            job=Job.from_domain(created.job),
            api_key=created.secret,
        )

    @mutation
    async def delete_deployment(self, info: Info, input: DeleteInput) -> DeletePayload:
        """Deletes a deployment with its API keys and request logs; the model is unloaded when no other deployment serves it."""
        return DeletePayload(deleted_id=strawberry.ID(await resolve.delete(info.context, input.id)))
