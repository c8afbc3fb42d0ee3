"""Resolving base models."""

import strawberry

from resolvers import base_models as resolve
from schema.shared.context import Info
from schema.shared.inputs import optional, or_none
from schema.shared.payloads import Payload, mutation, payload_field
from schema.types.base_models import BaseModel


@strawberry.input(description="The model to resolve.")
class ResolveModelInput:
    project_id: strawberry.ID | None = optional(
        "Project to select the model for; must be `ACTIVE`. None when absent or null."
    )
    model_id: str = strawberry.field(
        description="Name of a Hugging Face Hub repository, such as `Qwen/Qwen2.5-0.5B-Instruct`, or of a model that "
        "is listed already; at most 96 characters."
    )


@strawberry.type(description="Result of `resolveModel`.")
class ResolveModelPayload(Payload):
    base_model: BaseModel | None = payload_field("The base model, at the newest commit of its repository.")


@strawberry.type
class BaseModelMutations:
    @mutation
    async def resolve_model(self, info: Info, input: ResolveModelInput) -> ResolveModelPayload:
        """Reads a model's facts from its repository's files and adds it to the base models, or brings it up to date there.

        A model that a training uses stays as it is.
        """
        found = await resolve.resolve(info.context, or_none(input.project_id), input.model_id)
        return ResolveModelPayload(base_model=BaseModel.from_domain(found))
