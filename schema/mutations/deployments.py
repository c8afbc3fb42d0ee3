"""Putting models behind an endpoint, and taking them away."""

import strawberry

from resolvers import deployments as resolve
from schema.shared.context import Info
from schema.shared.inputs import optional, or_none
from schema.shared.payloads import REPLAY_OF_SECRET, DeleteInput, DeletePayload, Payload, mutation, outcome
from schema.types.deployments import Deployment
from schema.types.jobs import Job


@strawberry.input(
    description="What to deploy: a fine-tune by id or by its model name, or a model that the runtime has."
)
class CreateDeploymentInput:
    """What to deploy."""

    project_id: strawberry.ID = strawberry.field(
        description="The project whose endpoint it is behind; it must be ACTIVE."
    )
    model_name: str | None = optional("The name that it answers under; with `finetuneId`, any name.")
    finetune_id: strawberry.ID | None = optional("A fine-tune of the project's that has its model.")
    idempotency_key: str | None = optional(REPLAY_OF_SECRET)


@strawberry.type(description="The new deployment, the job that loads it, and the secret of its first key.")
class CreateDeploymentPayload(Payload):
    """The new deployment."""

    deployment: Deployment | None = outcome("The new deployment.")
    job: Job | None = outcome("The job that loads its model.")
    api_key: str | None = outcome("The secret of the deployment's first key, shown this once.")


@strawberry.type
class DeploymentMutations:
    """What may be done with deployments."""

    @mutation
    async def create_deployment(self, info: Info, input: CreateDeploymentInput) -> CreateDeploymentPayload:
        """Puts a model behind the project's OpenAI-compatible endpoint, with a first key."""
        made = await resolve.create(
            info.context,
            input.project_id,
            or_none(input.model_name),
            or_none(input.finetune_id),
            or_none(input.idempotency_key),
        )
        return CreateDeploymentPayload(
            deployment=Deployment.of(made.deployment), job=Job.of(made.job), api_key=made.secret
        )

    @mutation
    async def delete_deployment(self, info: Info, input: DeleteInput) -> DeletePayload:
        """Deletes a deployment with its keys and logs; its model is unloaded when nothing else serves it."""
        return DeletePayload(deleted_id=strawberry.ID(await resolve.delete(info.context, input.id)))
