"""Pages of an ordered list as SQL: each is a range of an index, however deep in the list it is."""

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, FromClause, Select, func, literal, literal_column, select, tuple_

from domain.pages import PageRequest

HAS_EARLIER, HAS_LATER = "page_has_earlier", "page_has_later"
PARENT_NUMBER = "page_number"
"""The column with the number of a row's parent, from 1."""
Position = Sequence[ColumnElement[Any]]
"""A value for each column of a list's order."""


class OutsidePage(NamedTuple):
    """Whether rows exist before the `after` cursor and behind the `before` cursor, for each row that was found."""

    earlier: Sequence[bool]
    later: Sequence[bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyset:
    """The rows of a list and their order.

    `parent` is the table of parents, when a statement reads the lists of many. A list over many projects has the
    column `project` of its rows, and the ids of the `projects`.
    """

    rows: Select[Any]
    order: Sequence[ColumnElement[Any]]
    newest_first: bool
    parent: FromClause | None = None
    project: ColumnElement[Any] | None = None
    projects: FromClause | None = None

    def page(self, page: PageRequest, after: Position | None, before: Position | None) -> Select[Any]:
        """The rows of a page in reading direction, and one more, which shows whether there are more.

        For each cursor a column says whether rows exist on its other side.
        """
        bounds, outside = [], []
        if after is not None:
            bounds.append(self._beyond(after, later=True))
            outside.append(self._exists(self._from(after, later=False), backward=True).label(HAS_EARLIER))
        if before is not None:
            bounds.append(self._beyond(before, later=False))
            outside.append(self._exists(self._from(before, later=True), backward=False).label(HAS_LATER))
        return self._range(bounds, page.size + 1, backward=page.backward).add_columns(*outside)

    def _beyond(self, position: Position, *, later: bool) -> ColumnElement[bool]:
        compare = operator.lt if later is self.newest_first else operator.gt
        return compare(tuple_(*self.order), tuple_(*position))  # type: ignore[no-any-return]

    def _from(self, position: Position, *, later: bool) -> ColumnElement[bool]:
        compare = operator.le if later is self.newest_first else operator.ge
        return compare(tuple_(*self.order), tuple_(*position))  # type: ignore[no-any-return]

    def _exists(self, bound: ColumnElement[bool], *, backward: bool) -> ColumnElement[bool]:
        """Whether there is a row. The bound includes the cursor, whose own row is mostly the first one found."""
        first = self._range([bound], 1, backward=backward)
        found: Select[Any] = first.with_only_columns(literal_column("1"), maintain_column_froms=True)
        return (found if self.parent is None else found.correlate(self.parent)).scalar_subquery().is_not(None)

    def _range(self, bounds: Sequence[ColumnElement[bool]], size: int, *, backward: bool) -> Select[Any]:
        """The first rows, or the last ones from the end."""
        rows = self._sorted(self.rows.where(*bounds), self.order, backward=backward).limit(size)
        return rows if self.projects is None else self._merged(rows, size, backward=backward)

    def _merged(self, rows: Select[Any], size: int, *, backward: bool) -> Select[Any]:
        """The first rows of each project, and the first of them all: no index has the rows of many projects in order."""
        assert self.projects is not None
        assert self.project is not None
        of_project = rows.where(self.project == self.projects.c.id).lateral("of_project")
        merged = select(of_project).select_from(self.projects.join(of_project, literal(value=True)))
        order = [of_project.c[column.key or ""] for column in self.order]
        return self._sorted(merged, order, backward=backward).limit(size)

    def _sorted(
        self, rows: Select[Any], order: Sequence[ColumnElement[Any]], *, backward: bool
    ) -> Select[Any]:
        descending = self.newest_first is not backward
        return rows.order_by(*(column.desc() if descending else column.asc() for column in order))


def lateral(parents: Any, page: Select[Any]) -> Select[Any]:
    """One lateral subquery per parent, all in one statement, in order."""
    rows = page.add_columns(
        func.row_number().over(order_by=page._order_by_clauses).label("row_in_page")  # noqa: SLF001
    ).lateral("page")
    return (
        select(parents.c[PARENT_NUMBER], *(column for column in rows.c if column.name != "row_in_page"))
        .select_from(parents.join(rows, literal(value=True)))
        .order_by(parents.c[PARENT_NUMBER], rows.c.row_in_page)
    )
