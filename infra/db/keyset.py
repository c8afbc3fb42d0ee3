"""Parts of an ordered list as SQL: each is a range of an index, however deep in the list it lies."""

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, FromClause, Select, literal, literal_column, select, tuple_

from domain.pages import Page

EARLIER, LATER = "page_has_earlier", "page_has_later"
Place = Sequence[ColumnElement[Any]]
"""A value for each column of a list's order."""


class Beyond(NamedTuple):
    """Whether there is something on the other sides of a page's cursors, for each row that was found."""

    earlier: Sequence[bool]
    later: Sequence[bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyset:
    """The rows of a list and their order.

    `parent` is where the list's own parent comes from, when a statement reads the lists of many. A list over many
    projects names the column `project` of its rows, and the ids of the `projects`.
    """

    rows: Select[Any]
    order: Sequence[ColumnElement[Any]]
    newest_first: bool
    parent: FromClause | None = None
    project: ColumnElement[Any] | None = None
    projects: FromClause | None = None

    def page(self, page: Page, after: Place | None, before: Place | None) -> Select[Any]:
        """The rows of a page in reading direction, and one more, which tells whether there are more.

        For each cursor a column says whether anything lies on its other side.
        """
        bounds, sides = [], []
        if after is not None:
            bounds.append(self._beyond(after, later=True))
            sides.append(self._has(self._from(after, later=False), backward=True).label(EARLIER))
        if before is not None:
            bounds.append(self._beyond(before, later=False))
            sides.append(self._has(self._from(before, later=True), backward=False).label(LATER))
        return self._part(bounds, page.size + 1, backward=page.backward).add_columns(*sides)

    def _beyond(self, place: Place, *, later: bool) -> ColumnElement[bool]:
        compare = operator.lt if later is self.newest_first else operator.gt
        return compare(tuple_(*self.order), tuple_(*place))  # type: ignore[no-any-return]

    def _from(self, place: Place, *, later: bool) -> ColumnElement[bool]:
        compare = operator.le if later is self.newest_first else operator.ge
        return compare(tuple_(*self.order), tuple_(*place))  # type: ignore[no-any-return]

    def _has(self, bound: ColumnElement[bool], *, backward: bool) -> ColumnElement[bool]:
        """Whether there is a row there. Looked for from the cursor on: mostly its own row is the first."""
        first = self._part([bound], 1, backward=backward)
        found: Select[Any] = first.with_only_columns(literal_column("1"), maintain_column_froms=True)
        return (found if self.parent is None else found.correlate(self.parent)).scalar_subquery().is_not(None)

    def _part(self, bounds: Sequence[ColumnElement[bool]], size: int, *, backward: bool) -> Select[Any]:
        """The first rows, or the last ones from the end."""
        part = self._sorted(self.rows.where(*bounds), self.order, backward=backward).limit(size)
        return part if self.projects is None else self._merged(part, size, backward=backward)

    def _merged(self, part: Select[Any], size: int, *, backward: bool) -> Select[Any]:
        """As many of each project, and the first of them all: no index leads through many projects in order."""
        assert self.projects is not None
        assert self.project is not None
        each = part.where(self.project == self.projects.c.id).lateral("of_project")
        merged = select(each).select_from(self.projects.join(each, literal(value=True)))
        order = [each.c[it.key or ""] for it in self.order]
        return self._sorted(merged, order, backward=backward).limit(size)

    def _sorted(
        self, rows: Select[Any], order: Sequence[ColumnElement[Any]], *, backward: bool
    ) -> Select[Any]:
        descending = self.newest_first is not backward
        return rows.order_by(*(it.desc() if descending else it.asc() for it in order))
