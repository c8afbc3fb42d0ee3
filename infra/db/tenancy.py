"""What a viewer may see: the one place that says so."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Select, literal_column, select

from domain.reading import Parent
from infra.db.tables import datasets, deployments, finetunes, jobs, projects


def may_see(viewer_id: str) -> ColumnElement[bool]:
    """What a viewer may see of projects: the ones they own."""
    return projects.c.owner_id == viewer_id


HOLDERS: Mapping[Parent, tuple[FromClause, ColumnElement[Any]]] = {
    Parent.PROJECT: (projects, projects.c.id),
    Parent.DATASET: (datasets.join(projects, datasets.c.project_id == projects.c.id), datasets.c.id),
    Parent.FINETUNE: (finetunes.join(projects, finetunes.c.project_id == projects.c.id), finetunes.c.id),
    Parent.DEPLOYMENT: (deployments.join(projects), deployments.c.id),
    Parent.JOB: (jobs.join(projects), jobs.c.id),
}
"""What a column of a parent refers to, with the project that it is in."""


def reachable(by: Parent, parent: ColumnElement[Any], viewer_id: str) -> ColumnElement[bool]:
    """Whether a viewer may see a parent's rows.

    It is asked once of each parent and not of each row: a join for it would have PostgreSQL guess how many
    rows are left, and where it guesses few, it sorts all of them instead of reading a page along the index.
    """
    holder, key = HOLDERS[by]
    found: Select[Any] = (
        select(literal_column("1")).select_from(holder).where(key == parent, may_see(viewer_id))
    )
    return found.correlate(parent.table).exists()
