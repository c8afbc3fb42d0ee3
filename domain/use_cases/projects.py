"""Use cases of projects."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from domain import ids
from domain.ids import Noun
from domain.patches import camel_case, changed_values
from domain.projects import REQUIRED, Project
from domain.reading import HasProject, Reads, require, require_in_project, require_locked
from domain.store import ReadStore, Store
from domain.use_cases import accounts


async def create(store: Store, values: Mapping[str, Any], *, viewer_id: str, now: datetime) -> Project:
    """A new ACTIVE project of the viewer."""
    await accounts.require(store, viewer_id)
    project = Project(id=ids.new(Noun.PROJECT), owner_id=viewer_id, created_at=now, updated_at=now, **values)
    project = project.validated()
    await store.projects.add(project)
    return project


async def update(
    store: Store, id: str, patch: Mapping[str, Any], *, viewer_id: str, now: datetime
) -> Project:
    """Change the attributes in `patch`; a dataset or fine-tune in it must be of this project."""
    project = await require_locked(store.projects, id, viewer_id=viewer_id)
    changed = changed_values(project, patch, required=REQUIRED)
    await _check_references(store, project, changed)
    project = replace(project, **changed, updated_at=now).validated()
    await store.projects.change(id, {name: getattr(project, name) for name in (*changed, "updated_at")})
    return project


async def _check_references(store: ReadStore, project: Project, changed: Mapping[str, Any]) -> None:
    """Raise `NotFound` unless dataset and fine-tune are of the project, and the base model exists."""
    references: dict[str, Reads[HasProject]] = {
        "training_dataset_id": store.datasets,
        "finetune_id": store.finetunes,
    }
    for name, reads in references.items():
        if (id := changed.get(name)) is not None:
            await require_in_project(
                reads, id, project.id, viewer_id=project.owner_id, field=camel_case(name), reason="NOT_FOUND"
            )
    if model := changed.get("base_model_id"):
        await require(
            store.base_models, model, viewer_id=project.owner_id, field="baseModelId", reason="NOT_FOUND"
        )


async def delete(store: Store, id: str, *, viewer_id: str) -> str:
    """Delete a project with all its objects; background tasks delete its files and unload its models."""
    project = await require_locked(store.projects, id, viewer_id=viewer_id)
    await store.background_tasks.delete_files(await store.projects.file_prefixes(project.id))
    await store.background_tasks.unload(await store.projects.model_ids(project.id))
    await store.projects.delete(project.id)
    return project.id
