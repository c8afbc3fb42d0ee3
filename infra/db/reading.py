"""How every noun is read: by id, and in keyset pages of any number of parents with one statement."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar, Generic, TypeVar

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    FromClause,
    Integer,
    Select,
    bindparam,
    column,
    func,
    literal,
    literal_column,
    select,
)
from sqlalchemy.ext.asyncio import AsyncSession

from domain.pages import COUNT_CEILING, Page, Part, Slice
from infra.db import cursors
from infra.db.keyset import EARLIER, LATER, Keyset, Place
from infra.db.tables import datasets, deployments, finetunes, jobs, projects

T = TypeVar("T")
Row = Mapping[str, Any]
Only = frozenset[str] | None

ROWS_AT_A_TIME = 500
PARENT, NUMBER = "page_parent", "page_number"
VIEWER: Any = bindparam("viewer_id")
"""Stands for the viewer in a statement that is made once and executed for everyone."""


def may_see(viewer_id: str) -> ColumnElement[bool]:
    """What a viewer may see of projects: the ones they own. The one place that says so."""
    return projects.c.owner_id == viewer_id


HOLDERS: Mapping[str, tuple[FromClause, ColumnElement[Any]]] = {
    "project_id": (projects, projects.c.id),
    "dataset_id": (datasets.join(projects, datasets.c.project_id == projects.c.id), datasets.c.id),
    "finetune_id": (finetunes.join(projects, finetunes.c.project_id == projects.c.id), finetunes.c.id),
    "deployment_id": (deployments.join(projects), deployments.c.id),
    "job_id": (jobs.join(projects), jobs.c.id),
}
"""What a column of a parent refers to, with the project that it is in."""


def names(columns: Iterable[ColumnElement[Any]], *but: str) -> frozenset[str]:
    """What columns are called, but for these."""
    return frozenset(it.key or "" for it in columns) - frozenset(but)


class Reader(Generic[T]):
    """Reads one noun. A subclass says where its rows are, in which order, and how one becomes a `T`.

    `source` joins what only tells whose a row is from outside, so that who need not ask does not read it. `project`
    is the column that names a row's project, where a viewer has a list over all projects. `alone` are the columns that
    `build` takes as they are: a page can be asked for some of them and nothing else.
    """

    name: ClassVar[str]
    source: ClassVar[FromClause]
    columns: ClassVar[Sequence[ColumnElement[Any]]]
    order: ClassVar[Sequence[ColumnElement[Any]]]
    newest_first: ClassVar[bool] = True
    alone: ClassVar[frozenset[str]] = frozenset()
    project: ClassVar[ColumnElement[Any] | None] = None

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def build(self, row: Row) -> T:
        """A domain object from one row, which has the names of `columns`."""
        raise NotImplementedError

    def visible(self, viewer_id: str) -> ColumnElement[bool]:
        """Which rows a viewer may see."""
        return may_see(viewer_id)

    def present(self) -> list[ColumnElement[bool]]:
        """The conditions that make a row be there for anyone."""
        return []

    def reachable(self, by: str, each: FromClause, viewer_id: str) -> ColumnElement[bool]:
        """Whether a viewer may see a parent's rows.

        It is asked once of each parent and not of each row: a join for it would have PostgreSQL guess how many
        rows are left, and where it guesses few, it sorts all of them instead of reading a page along the index.
        """
        holder, key = HOLDERS[by]
        found: Select[Any] = (
            select(literal_column("1")).select_from(holder).where(key == each.c[PARENT], may_see(viewer_id))
        )
        return found.correlate(each).exists()

    def matching(self, where: Any) -> list[ColumnElement[bool]]:  # noqa: ARG002 - a subclass reads its filter
        """The conditions of a filter."""
        return []

    @property
    def key(self) -> ColumnElement[Any]:
        """The column that identifies a row."""
        return self.columns[0]

    def rows(self, viewer_id: str) -> Select[Any]:
        """Every row that a viewer may see."""
        return self._every().where(self.visible(viewer_id))

    def _every(self, where: Any = None, only: Only = None) -> Select[Any]:
        """Every row that is there, whoever asks; with a filter those that match it."""
        conditions = [] if where is None else self.matching(where)
        columns = self.columns if only is None else self._columns(only)
        return select(*columns).select_from(self.source).where(*self.present(), *conditions)

    def _columns(self, only: frozenset[str]) -> list[ColumnElement[Any]]:
        """These columns, and what a row's place is made of."""
        wanted = only | {it.key for it in self.order}
        return [it for it in self.columns if it.key in wanted]

    async def get(self, id: str, *, viewer_id: str) -> T | None:
        """One row; None when it is missing or another's."""
        return (await self.many([id], viewer_id=viewer_id)).get(id)

    async def many(self, ids: list[str], *, viewer_id: str) -> dict[str, T]:
        """Rows by id; the missing ones are absent."""
        return await self._by_id(self._by_ids(), viewer_id=viewer_id, ids=ids)

    @classmethod
    @lru_cache(maxsize=64)
    def _by_ids(cls) -> Select[Any]:
        """The statement of `many`. To make a statement takes longer than to execute it."""
        nobodys = object.__new__(cls)
        wanted = bindparam("ids", type_=ARRAY(nobodys.key.type))
        return nobodys.rows(VIEWER).where(nobodys.key == func.any(wanted))

    async def _by_id(self, statement: Select[Any], **given: Any) -> dict[str, T]:
        key = self.key.key or "id"
        return {row[key]: self.build(row) for row in await self._fetch(statement, **given)}

    async def _fetch(self, statement: Select[Any], **given: Any) -> list[dict[str, Any]]:
        """The rows of a statement as dictionaries, which are quicker to read than the `RowMapping` of SQLAlchemy."""
        found = await self._session.execute(statement, given)
        names = tuple(found.keys())
        return [dict(zip(names, row, strict=True)) for row in found.all()]

    async def pages(
        self,
        parents: list[str],
        page: Page,
        *,
        by: str | None = None,
        where: Any = None,
        only: Only = None,
        viewer_id: str,
    ) -> dict[str, Slice[Any]]:
        """The same page of each parent's list; `by` names the parent's column, None means the viewer's own.

        Rows are `Part`s where `only` names nothing but columns that can be read alone.
        """
        only = only if only is not None and only <= self.alone else None
        mark = cursors.mark_of(viewer_id)
        after = None if page.after is None else self._place(page.after, mark, field="after")
        before = None if page.before is None else self._place(page.before, mark, field="before")
        if after is before is None and (where is None or not self.matching(where)):
            statement = self._first_page(by, page, only)
        else:
            statement = self._page(by, where, page, after, before, only)
        found: dict[str, list[dict[str, Any]]] = {parent: [] for parent in parents}
        for row in await self._fetch(statement, viewer_id=viewer_id, parents=parents):
            found[row.pop(PARENT, parents[0])].append(row)
        build = self.build if only is None else Part
        return {parent: self._slice(rows, page, mark, build) for parent, rows in found.items()}

    @classmethod
    @lru_cache(maxsize=256)
    def _first_page(cls, by: str | None, page: Page, only: Only) -> Select[Any]:
        """The statement of an unfiltered page from the list's start or its end; made without a session."""
        return object.__new__(cls)._page(by, None, page, None, None, only)  # noqa: SLF001 - one of its own

    def _page(
        self, by: str | None, where: Any, page: Page, after: Place | None, before: Place | None, only: Only
    ) -> Select[Any]:
        """The statement of a page, which is told `viewer_id` and `parents` when it is executed."""
        if by is None:
            return self._own_list(where, VIEWER, only).page(page, after, before)
        each, rows = self._of_each(by, where, VIEWER, only)
        keyset = Keyset(rows=rows, order=self.order, newest_first=self.newest_first, parent=each)
        return self._for_each(each, keyset.page(page, after, before))

    async def totals(
        self, parents: list[str], *, by: str | None = None, where: Any = None, viewer_id: str
    ) -> dict[str, int]:
        """The length of each parent's list, counted no further than `COUNT_CEILING`."""
        one = literal(1, Integer).label("one")
        if by is None:
            listed = self._filtered(where, viewer_id).with_only_columns(one).limit(COUNT_CEILING)
            counted = select(func.count()).select_from(listed.subquery())
            return {parents[0]: await self._session.scalar(counted) or 0}
        each, rows = self._of_each(by, where, viewer_id)
        limited = rows.with_only_columns(one).limit(COUNT_CEILING).subquery().lateral()
        counted = (
            select(each.c[PARENT], func.count(limited.c.one).label("rows"))
            .select_from(each.outerjoin(limited, literal(value=True)))
            .group_by(each.c[PARENT])
        )
        return {row[PARENT]: row["rows"] for row in await self._fetch(counted, parents=parents)}

    async def streamed(self, statement: Select[Any]) -> AsyncGenerator[T, None]:
        """All rows of a statement from a server-side cursor: memory stays flat, however many there are."""
        found = await self._session.stream(statement, execution_options={"yield_per": ROWS_AT_A_TIME})
        try:
            async for row in found.mappings():
                yield self.build(row)
        finally:  # also where a cancelled request takes every further await away
            await asyncio.shield(found.close())

    def _filtered(self, where: Any, viewer_id: str, only: Only = None) -> Select[Any]:
        return self._every(where, only).where(self.visible(viewer_id))

    def _of_each(self, by: str, where: Any, viewer_id: str, only: Only = None) -> tuple[Any, Select[Any]]:
        """The parents as a table, and the rows of each that a viewer may see."""
        each = self._parents(by)
        rows = self._every(where, only).where(self._parent_column(by) == each.c[PARENT])
        return each, rows.where(self.reachable(by, each, viewer_id))

    def _parent_column(self, by: str) -> ColumnElement[Any]:
        return next(it for it in self.source.c if it.name == by)

    def _parents(self, by: str) -> Any:
        type_ = self._parent_column(by).type
        unnested = func.unnest(bindparam("parents", type_=ARRAY(type_)))
        return unnested.table_valued(
            column(PARENT, type_), with_ordinality=NUMBER, name="parents"
        ).render_derived(with_types=False)

    def _own_list(self, where: Any, viewer_id: str, only: Only) -> Keyset:
        """The viewer's own list, over all projects where the rows are of projects."""
        if self.project is None:
            rows = self._filtered(where, viewer_id, only)
            return Keyset(rows=rows, order=self.order, newest_first=self.newest_first)
        return Keyset(
            rows=self._every(where, only),
            order=self.order,
            newest_first=self.newest_first,
            project=self.project,
            projects=select(projects.c.id).where(may_see(viewer_id)).subquery("mine"),
        )

    def cursor(self, row: Row, mark: str) -> str:
        """The place of a row in its list, for the viewer with this mark."""
        return cursors.encode(self.name, mark, [row[it.key or ""] for it in self.order])

    def decoded(self, cursor: str, mark: str, *, field: str) -> list[Any]:
        """The values of `order` that a cursor names; raises `Invalid`."""
        return cursors.decode(cursor, self.name, mark, self.order, field=field)

    def _place(self, cursor: str, mark: str, *, field: str) -> Place:
        values = self.decoded(cursor, mark, field=field)
        return [literal(value, it.type) for value, it in zip(values, self.order, strict=True)]

    def _for_each(self, each: Any, wanted: Select[Any]) -> Select[Any]:
        """One lateral subquery per parent, all in one statement, in order."""
        part = wanted.add_columns(
            func.row_number().over(order_by=wanted._order_by_clauses).label("row_in_page")  # noqa: SLF001
        ).lateral("part")
        return (
            select(each.c[PARENT], *(it for it in part.c if it.name != "row_in_page"))
            .select_from(each.join(part, literal(value=True)))
            .order_by(each.c[NUMBER], part.c.row_in_page)
        )

    def _slice(
        self, rows: list[dict[str, Any]], page: Page, mark: str, build: Callable[[Row], Any]
    ) -> Slice[Any]:
        more, rows = len(rows) > page.size, rows[: page.size]
        if page.backward:
            rows.reverse()
        # a page without rows cannot say what is around it: there is a place there, and so there was a row
        earlier = page.after is not None and (not rows or rows[0][EARLIER])
        later = page.before is not None and (not rows or rows[0][LATER])
        for row in rows:
            row.pop(EARLIER, None)
            row.pop(LATER, None)
        return Slice(
            rows=tuple(build(row) for row in rows),
            cursor=lambda index: self.cursor(rows[index], mark),
            has_next=later or (more and not page.backward),
            has_previous=earlier or (more and page.backward),
        )
