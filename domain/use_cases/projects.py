"""Making, changing and deleting projects."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from domain import ids
from domain.errors import NotFound
from domain.ids import Noun
from domain.patches import changes
from domain.projects import REQUIRED, Project
from domain.reading import missing, require_locked
from domain.store import Store
from domain.use_cases import accounts


async def create(store: Store, values: Mapping[str, Any], *, viewer_id: str, now: datetime) -> Project:
    """A new, empty, active project of the viewer's."""
    await accounts.require(store, viewer_id)
    project = Project(id=ids.new(Noun.PROJECT), owner_id=viewer_id, created_at=now, updated_at=now, **values)
    project = project.checked()
    await store.projects.add(project)
    return project


async def update(
    store: Store, id: str, patch: Mapping[str, Any], *, viewer_id: str, now: datetime
) -> Project:
    """Change what `patch` names; the chosen dataset and fine-tune must be the project's own."""
    project = await require_locked(store.projects, id, viewer_id=viewer_id)
    changed = changes(project, patch, required=REQUIRED)
    await _check_choices(store, project, changed)
    project = replace(project, **changed, updated_at=now).checked()
    await store.projects.change(id, {name: getattr(project, name) for name in (*changed, "updated_at")})
    return project


async def _check_choices(store: Store, project: Project, changed: Mapping[str, Any]) -> None:
    """Raise `NotFound` when a chosen dataset, fine-tune or base model is not one that the project can have."""
    for name, reads, word in (
        ("training_dataset_id", store.datasets, "dataset"),
        ("finetune_id", store.finetunes, "fine-tune"),
    ):
        if (chosen := changed.get(name)) is None:
            continue
        found = await reads.get(chosen, viewer_id=project.owner_id)
        if found is None or found.project_id != project.id:
            raise NotFound(f"The project has no {word} {chosen}.", reason="NOT_FOUND", field=name)
    if (model := changed.get("base_model_id")) and not await store.base_models.get(
        model, viewer_id=project.owner_id
    ):
        raise NotFound(missing(Noun.BASE_MODEL, model).message, reason="NOT_FOUND", field="base_model_id")


async def delete(store: Store, id: str, *, viewer_id: str) -> str:
    """Delete a project with everything under it; its files and loaded models go once this is committed."""
    project = await require_locked(store.projects, id, viewer_id=viewer_id)
    await store.background_tasks.delete_files(await store.projects.file_prefixes(project.id))
    await store.background_tasks.unload(await store.projects.model_ids(project.id))
    await store.projects.delete(project.id)
    return project.id
