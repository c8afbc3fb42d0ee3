"""Resolvers of base models."""

from domain.base_models import BaseModel, validated_model_id
from domain.use_cases import base_models
from domain.use_cases.base_models import ModelRequest
from resolvers.context import Context


async def resolve(context: Context, project_id: str | None, model_id: str) -> BaseModel:
    """Look a model up in the hub, outside of transactions, and store it; with a project it becomes its base model."""
    viewer, services = context.viewer_id, context.services
    request = ModelRequest(model_id=validated_model_id(model_id), project_id=project_id)
    async with context.transactions.read() as store:
        stored = await base_models.check_request(store, request, viewer_id=viewer)
    found = await base_models.look_up(services.hub, services.hub_limits, request, stored)
    async with context.transactions.begin() as store:
        return await base_models.save(store, request, found, viewer_id=viewer, now=context.now())
