"""How every noun is read: by id, and in keyset pages of any number of parents with one statement."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any, ClassVar, Generic, TypeVar

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Integer,
    Select,
    bindparam,
    column,
    func,
    literal,
    select,
)
from sqlalchemy.ext.asyncio import AsyncSession

from domain.pages import COUNT_CEILING, Page, PageSlice, Rows
from domain.reading import Parent
from infra.db import cursors
from infra.db.keyset import EARLIER, LATER, Beyond, Keyset, Place
from infra.db.statements import Query, Statement, fetched
from infra.db.tables import projects
from infra.db.tenancy import may_see, reachable
from infra.db.types import Id, Ids

T = TypeVar("T")
Row = Mapping[str, Any]
Only = frozenset[str] | None

ROWS_AT_A_TIME = 500
PARENT, NUMBER = "page_parent", "page_number"
VIEWER: Any = bindparam("viewer_id")
"""Stands for the viewer in a statement that is made once and executed for everyone."""


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
    parents: ClassVar[Mapping[Parent, ColumnElement[Any]]] = {}
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

    def reachable(self, by: Parent, parent: ColumnElement[Any], viewer_id: str) -> ColumnElement[bool]:
        """Whether a viewer may see a parent's rows."""
        return reachable(by, parent, viewer_id)

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
    def _by_ids(cls) -> Statement:
        """The statement of `many`. To make a statement takes longer than to execute it."""
        nobodys = object.__new__(cls)
        kind = nobodys.key.type
        assert isinstance(kind, Id)
        wanted = bindparam("ids", type_=Ids(kind))
        return Statement(nobodys.rows(VIEWER).where(nobodys.key == func.any(wanted)))

    async def _by_id(self, statement: Query, **given: Any) -> dict[str, T]:
        key = self.key.key or "id"
        return {row[key]: self.build(row) for row in await self._fetch(statement, **given)}

    async def _fetch(self, statement: Query, **given: Any) -> list[dict[str, Any]]:
        """The rows of a statement as dictionaries, which are quicker to read than the `RowMapping` of SQLAlchemy."""
        return (await fetched(self._session, statement, given)).all()

    async def pages(
        self,
        parents: list[str],
        page: Page,
        *,
        by: Parent | None = None,
        where: Any = None,
        only: Only = None,
        viewer_id: str,
    ) -> dict[str, PageSlice[Any]]:
        """The same page of each parent's list; `by` names the parent's column, None means the viewer's own.

        Rows are parts where `only` names nothing but columns that can be read alone.
        """
        only = only if only is not None and only <= self.alone else None
        mark = cursors.mark_of(viewer_id)
        given = {"viewer_id": viewer_id, "parents": parents, **self._given(page, mark)}
        is_kept, shape = where is None or not self.matching(where), page.shape
        query = self._kept_page(by, shape, only) if is_kept else self._page(by, where, shape, only)
        found = await fetched(self._session, query, given)
        columns = dict(found.columns)
        places = _runs(columns.pop(NUMBER), len(parents)) if by is not None else [found.places]
        beyond = Beyond(columns.pop(EARLIER, ()), columns.pop(LATER, ()))
        return {
            parent: self._slice(parent, Rows(columns, its), beyond, page, mark, is_part=only is not None)
            for parent, its in zip(parents, places, strict=True)
        }

    @classmethod
    @lru_cache(maxsize=512)
    def _kept_page(cls, by: Parent | None, shape: Page, only: Only) -> Statement:
        """The statement of an unfiltered page; made without a session."""
        return Statement(object.__new__(cls)._page(by, None, shape, only))  # noqa: SLF001 - one of its own

    def _page(self, by: Parent | None, where: Any, shape: Page, only: Only) -> Select[Any]:
        """The statement of a page of this shape.

        When it is executed it is told `viewer_id`, `parents`, and the values of cursors.
        """
        after = None if shape.after is None else self._place("after")
        before = None if shape.before is None else self._place("before")
        if by is None:
            return self._own_list(where, VIEWER, only).page(shape, after, before)
        each, rows = self._of_each(by, where, VIEWER, only)
        keyset = Keyset(rows=rows, order=self.order, newest_first=self.newest_first, parent=each)
        return self._for_each(each, keyset.page(shape, after, before))

    async def totals(
        self, parents: list[str], *, by: Parent | None = None, where: Any = None, viewer_id: str
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

    def _of_each(self, by: Parent, where: Any, viewer_id: str, only: Only = None) -> tuple[Any, Select[Any]]:
        """The parents as a table, and the rows of each that a viewer may see."""
        each = self._parents(by)
        rows = self._every(where, only).where(self.parents[by] == each.c[PARENT])
        return each, rows.where(self.reachable(by, each.c[PARENT], viewer_id))

    def _parents(self, by: Parent) -> Any:
        type_ = self.parents[by].type
        assert isinstance(type_, Id)
        unnested = func.unnest(bindparam("parents", type_=Ids(type_)))
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

    def _place(self, side: str) -> Place:
        """The place of the cursor on one side of a page, whose values are given when the statement is executed."""
        return [bindparam(f"{side}_{index}", type_=it.type) for index, it in enumerate(self.order)]

    def _given(self, page: Page, mark: str) -> dict[str, Any]:
        """The values of a page's cursors."""
        cursors = {"after": page.after, "before": page.before}
        return {
            f"{side}_{index}": value
            for side, cursor in cursors.items()
            if cursor is not None
            for index, value in enumerate(self.decoded(cursor, mark, field=side))
        }

    def _for_each(self, each: Any, wanted: Select[Any]) -> Select[Any]:
        """One lateral subquery per parent, all in one statement, in order."""
        part = wanted.add_columns(
            func.row_number().over(order_by=wanted._order_by_clauses).label("row_in_page")  # noqa: SLF001
        ).lateral("part")
        return (
            select(each.c[NUMBER], *(it for it in part.c if it.name != "row_in_page"))
            .select_from(each.join(part, literal(value=True)))
            .order_by(each.c[NUMBER], part.c.row_in_page)
        )

    def _slice(
        self, parent: str, found: Rows, beyond: Beyond, page: Page, mark: str, *, is_part: bool
    ) -> PageSlice[Any]:
        """A page, of one row more than it has if there are more."""
        more, places = len(found.places) > page.size, found.places[: page.size]
        rows = Rows(found.columns, places[::-1] if page.backward else places)
        # a page without rows cannot say what is around it: there is a place there, and so there was a row
        earlier = page.after is not None and (not places or beyond.earlier[places[0]])
        later = page.before is not None and (not places or beyond.later[places[0]])
        return PageSlice(
            parent=parent,
            rows=() if is_part else tuple(map(self.build, rows.all())),
            part=rows if is_part else None,
            cursor=lambda index: self.cursor(rows.at(index), mark),
            has_next=later or (more and not page.backward),
            has_previous=earlier or (more and page.backward),
        )


def _runs(numbers: Sequence[int], count: int) -> list[range]:
    """Where each number from 1 to `count` stands, in a column that is sorted."""
    lengths = Counter(numbers)
    stops = list(accumulate(lengths[it] for it in range(1, count + 1)))
    return [range(start, stop) for start, stop in zip([0, *stops], stops, strict=False)]
