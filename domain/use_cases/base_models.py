"""Use cases of base models."""

from dataclasses import dataclass
from datetime import datetime

from domain.base_models import BaseModel, HubLimits, ModelSource
from domain.errors import Forbidden
from domain.model_catalog import updated_model
from domain.ports.model_hub import ModelHub
from domain.projects import require_active
from domain.reading import require, require_locked
from domain.store import ReadStore, Store
from domain.use_cases import projects
from domain.use_cases.hub_models import base_model_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """A model to resolve by its validated name, and the project that it becomes the base model of, if any."""

    model_id: str
    project_id: str | None


async def check_request(store: ReadStore, request: ModelRequest, *, viewer_id: str) -> BaseModel | None:
    """The stored model of this name, if any; raises `NotFound` unless the project is the viewer's, `Invalid` if archived."""
    if request.project_id is not None:
        require_active(
            await require(store.projects, request.project_id, viewer_id=viewer_id, field="projectId")
        )
    return await store.base_models.by_model_id(request.model_id)


async def look_up(
    hub: ModelHub, limits: HubLimits, request: ModelRequest, stored: BaseModel | None
) -> BaseModel | None:
    """The model as the hub has it; None for one of the installation's own, about which no hub is asked.

    Raises what `ModelHub.describe` and `base_model_of` raise, and `Forbidden` where hub models are off.
    """
    is_entry = stored is not None and stored.source is ModelSource.CATALOG
    if (stored is not None and stored.source is ModelSource.LOCAL) or (is_entry and not limits.enabled):
        return None
    if not limits.enabled:
        raise Forbidden(
            "This installation tunes the models of its catalog only (HUB_MODELS=off); `baseModels` lists them.",
            reason="HUB_MODELS_OFF",
            field="modelId",
        )
    return base_model_of(await hub.describe(request.model_id), limits.max_bytes)


async def save(
    store: Store, request: ModelRequest, found: BaseModel | None, *, viewer_id: str, now: datetime
) -> BaseModel:
    """Store what the hub has, unless a training uses the model, and select the model for the project."""
    if found is None:
        base = await store.base_models.by_model_id(request.model_id)
        assert base is not None
    else:
        base = await _stored(store, found)
    if request.project_id is not None:
        await _select(store, request.project_id, base, viewer_id=viewer_id, now=now)
    return base


async def _select(store: Store, project_id: str, base: BaseModel, *, viewer_id: str, now: datetime) -> None:
    """Make a model the project's base model, which it may be already."""
    project = await require_locked(store.projects, project_id, viewer_id=viewer_id, field="projectId")
    if project.base_model_id != base.id:
        await projects.update(store, project_id, {"base_model_id": base.id}, viewer_id=viewer_id, now=now)


async def _stored(store: Store, found: BaseModel) -> BaseModel:
    stored, was_added = await store.base_models.lock_by_model_id(found)
    is_local = stored.source is ModelSource.LOCAL
    if was_added or is_local or await store.base_models.in_training(stored.id):
        return stored
    model = updated_model(found, stored)
    await store.base_models.put(model)
    return model
