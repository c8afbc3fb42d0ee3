"""Which rows a viewer may see: the one place that decides it."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Select, literal_column, select

from domain.reading import Parent
from infra.db.tables import datasets, deployments, finetunes, jobs, projects


def visible_to(viewer_id: str) -> ColumnElement[bool]:
    """Whether a viewer may see a project, which is then part of the statement: whether they own it."""
    return projects.c.owner_id == viewer_id


PARENTS: Mapping[Parent, tuple[FromClause, ColumnElement[Any]]] = {
    Parent.PROJECT: (projects, projects.c.id),
    Parent.DATASET: (datasets.join(projects, datasets.c.project_id == projects.c.id), datasets.c.id),
    Parent.FINETUNE: (finetunes.join(projects, finetunes.c.project_id == projects.c.id), finetunes.c.id),
    Parent.DEPLOYMENT: (deployments.join(projects), deployments.c.id),
    Parent.JOB: (jobs.join(projects), jobs.c.id),
}
"""The rows of each kind of parent with their projects, and their ids."""


def parent_visible_to(
    viewer_id: str, parent_kind: Parent, parent_id: ColumnElement[Any]
) -> ColumnElement[bool]:
    """Whether a viewer may see a parent.

    The condition is evaluated once for each parent and not for each row. With a join PostgreSQL would have to estimate
    how many rows remain; where it estimates few, it sorts all of them instead of reading a page along the index.
    """
    parents, key = PARENTS[parent_kind]
    visible: Select[Any] = (
        select(literal_column("1")).select_from(parents).where(key == parent_id, visible_to(viewer_id))
    )
    return visible.correlate(parent_id.table).exists()
