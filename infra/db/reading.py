"""How every noun is read: by id, and in keyset pages of any number of parents with one statement."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any, ClassVar, Generic, TypeVar

from sqlalchemy import ColumnElement, FromClause, Integer, Select, bindparam, column, func, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.pages import COUNT_CEILING, PageRequest, PageResult, Rows
from domain.reading import Parent
from infra.db import cursors
from infra.db.keyset import HAS_EARLIER, HAS_LATER, PARENT_NUMBER, Keyset, OutsidePage, Position, lateral
from infra.db.statements import Query, Statement, fetch_rows
from infra.db.tables import projects
from infra.db.tenancy import parent_visible_to, visible_to
from infra.db.types import Id, Ids

T = TypeVar("T")
Row = Mapping[str, Any]
Parents = Mapping[Parent, ColumnElement[Any]]
"""The column with the id of each kind of parent."""
Projection = frozenset[str] | None
"""The names of the columns to read; None means whole rows."""

STREAM_BATCH = 500
PARENT_ID = "page_parent"
VIEWER_ID: Any = bindparam("viewer_id")
"""The viewer in a statement that is compiled once and executed for every viewer."""


class Reader(Generic[T]):
    """Reads one noun. A subclass says where its rows are, in which order, and how one becomes a `T`.

    `source` joins the tables that only say whose a row is by outer joins, so that a statement which does not ask that
    does not read them. `project` is the column of a row's project, where a viewer has a list over all projects.
    `projectable` are the columns that `build` uses unchanged: a page can be read of some of them only.
    """

    name: ClassVar[str]
    parents: ClassVar[Parents] = {}
    source: ClassVar[FromClause]
    columns: ClassVar[Sequence[ColumnElement[Any]]]
    order: ClassVar[Sequence[ColumnElement[Any]]]
    newest_first: ClassVar[bool] = True
    projectable: ClassVar[frozenset[str]] = frozenset()
    project: ClassVar[ColumnElement[Any] | None] = None

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def build(self, row: Row) -> T:
        """A domain object from one row, which has the names of `columns`."""
        raise NotImplementedError

    def visible(self, viewer_id: str) -> ColumnElement[bool]:
        """Which rows a viewer may see."""
        return visible_to(viewer_id)

    def present(self) -> list[ColumnElement[bool]]:
        """The conditions of rows that exist for anyone."""
        return []

    def parent_visible(
        self, viewer_id: str, parent_kind: Parent, parent_id: ColumnElement[Any]
    ) -> ColumnElement[bool]:
        """Whether a viewer may see the rows of a parent."""
        return parent_visible_to(viewer_id, parent_kind, parent_id)

    def matching(self, where: Any) -> list[ColumnElement[bool]]:  # noqa: ARG002 - a subclass reads its filter
        """The conditions of a filter."""
        return []

    @property
    def key(self) -> ColumnElement[Any]:
        """The column that identifies a row."""
        return self.columns[0]

    def rows(self, viewer_id: str) -> Select[Any]:
        """Every row that a viewer may see."""
        return self._present_rows().where(self.visible(viewer_id))

    def _present_rows(self, where: Any = None, projection: Projection = None) -> Select[Any]:
        """Every row that exists, whoever may see it; with a filter those that match."""
        conditions = [] if where is None else self.matching(where)
        columns = self.columns if projection is None else self._projected(projection)
        return select(*columns).select_from(self.source).where(*self.present(), *conditions)

    def _projected(self, projection: frozenset[str]) -> list[ColumnElement[Any]]:
        """The columns of a projection, and those that a cursor is made of."""
        names = projection | {column.key for column in self.order}
        return [column for column in self.columns if column.key in names]

    async def get(self, id: str, *, viewer_id: str) -> T | None:
        """One row; None when it is missing or another's."""
        return (await self.many([id], viewer_id=viewer_id)).get(id)

    async def many(self, ids: list[str], *, viewer_id: str) -> dict[str, T]:
        """Rows by id; the missing ones are absent."""
        return await self._by_id(self._many_statement(), viewer_id=viewer_id, ids=ids)

    @classmethod
    @lru_cache(maxsize=64)
    def _many_statement(cls) -> Statement:
        """The statement of `many`. To compile a statement takes longer than to execute it."""
        reader = object.__new__(cls)  # without a session
        type_ = reader.key.type
        assert isinstance(type_, Id)
        is_named = reader.key == func.any(bindparam("ids", type_=Ids(type_)))
        return Statement(reader.rows(VIEWER_ID).where(is_named))

    async def _by_id(self, statement: Query, **parameters: Any) -> dict[str, T]:
        key = self.key.key or "id"
        return {row[key]: self.build(row) for row in await self._fetch(statement, **parameters)}

    async def _fetch(self, statement: Query, **parameters: Any) -> list[dict[str, Any]]:
        """The rows of a statement as dictionaries, which are quicker to read than SQLAlchemy's `RowMapping`."""
        return (await fetch_rows(self._session, statement, parameters)).all()

    async def pages(
        self,
        parents: list[str],
        page: PageRequest,
        *,
        parent_kind: Parent | None = None,
        where: Any = None,
        projection: Projection = None,
        viewer_id: str,
    ) -> dict[str, PageResult[Any]]:
        """The page at the same position in the list of each parent; without `parent_kind` the parent is the viewer.

        Rows are partial where the projection has nothing but `projectable` columns.
        """
        projection = projection if projection is not None and projection <= self.projectable else None
        viewer_tag = cursors.viewer_tag_of(viewer_id)
        parameters = {"viewer_id": viewer_id, "parents": parents, **self._cursor_values(page, viewer_tag)}
        is_cached, shape = where is None or not self.matching(where), page.shape
        query: Query = (
            self._page_statement(parent_kind, shape, projection)
            if is_cached
            else self._page(parent_kind, where, shape, projection)
        )
        found = await fetch_rows(self._session, query, parameters)
        columns = dict(found.columns)
        ranges = (
            _ranges(columns.pop(PARENT_NUMBER), len(parents)) if parent_kind is not None else [found.indices]
        )
        outside = OutsidePage(columns.pop(HAS_EARLIER, ()), columns.pop(HAS_LATER, ()))
        return {
            parent: self._slice(
                parent, Rows(columns, indices), outside, page, viewer_tag, is_partial=projection is not None
            )
            for parent, indices in zip(parents, ranges, strict=True)
        }

    @classmethod
    @lru_cache(maxsize=512)
    def _page_statement(
        cls, parent_kind: Parent | None, shape: PageRequest, projection: Projection
    ) -> Statement:
        """The compiled statement of an unfiltered page."""
        reader = object.__new__(cls)  # without a session
        return Statement(reader._page(parent_kind, None, shape, projection))

    def _page(
        self, parent_kind: Parent | None, where: Any, shape: PageRequest, projection: Projection
    ) -> Select[Any]:
        """The statement of a page of this shape, with parameters for the viewer, the parents and the cursors."""
        after = None if shape.after is None else self._cursor_parameters("after")
        before = None if shape.before is None else self._cursor_parameters("before")
        if parent_kind is None:
            return self._viewer_list(where, VIEWER_ID, projection).page(shape, after, before)
        parents, rows = self._parent_rows(parent_kind, where, VIEWER_ID, projection)
        keyset = Keyset(rows=rows, order=self.order, newest_first=self.newest_first, parent=parents)
        return lateral(parents, keyset.page(shape, after, before))

    async def totals(
        self, parents: list[str], *, parent_kind: Parent | None = None, where: Any = None, viewer_id: str
    ) -> dict[str, int]:
        """The length of each parent's list, counted no further than `COUNT_CEILING`."""
        one = literal(1, Integer).label("one")
        if parent_kind is None:
            listed = self._filtered(where, viewer_id).with_only_columns(one).limit(COUNT_CEILING)
            counted = select(func.count()).select_from(listed.subquery())
            return {parents[0]: await self._session.scalar(counted) or 0}
        table, rows = self._parent_rows(parent_kind, where, viewer_id)
        limited = rows.with_only_columns(one).limit(COUNT_CEILING).subquery().lateral()
        counted = (
            select(table.c[PARENT_ID], func.count(limited.c.one).label("rows"))
            .select_from(table.outerjoin(limited, literal(value=True)))
            .group_by(table.c[PARENT_ID])
        )
        return {row[PARENT_ID]: row["rows"] for row in await self._fetch(counted, parents=parents)}

    async def streamed(self, statement: Select[Any]) -> AsyncGenerator[T, None]:
        """All rows of a statement from a server-side cursor, `STREAM_BATCH` of them in memory."""
        result = await self._session.stream(statement, execution_options={"yield_per": STREAM_BATCH})
        try:
            async for row in result.mappings():
                yield self.build(row)
        finally:  # shielded, for in a cancelled task no other await would be completed
            await asyncio.shield(result.close())

    def _filtered(self, where: Any, viewer_id: str, projection: Projection = None) -> Select[Any]:
        return self._present_rows(where, projection).where(self.visible(viewer_id))

    def _parent_rows(
        self, parent_kind: Parent, where: Any, viewer_id: str, projection: Projection = None
    ) -> tuple[Any, Select[Any]]:
        """The parents as a table, and the rows of each that a viewer may see."""
        parents = self._parents_table(parent_kind)
        parent_id = parents.c[PARENT_ID]
        rows = self._present_rows(where, projection).where(self.parents[parent_kind] == parent_id)
        return parents, rows.where(self.parent_visible(viewer_id, parent_kind, parent_id))

    def _parents_table(self, parent_kind: Parent) -> Any:
        type_ = self.parents[parent_kind].type
        assert isinstance(type_, Id)
        unnested = func.unnest(bindparam("parents", type_=Ids(type_)))
        return unnested.table_valued(
            column(PARENT_ID, type_), with_ordinality=PARENT_NUMBER, name="parents"
        ).render_derived(with_types=False)

    def _viewer_list(self, where: Any, viewer_id: str, projection: Projection) -> Keyset:
        """The viewer's own list, over all projects where the rows belong to projects."""
        if self.project is None:
            rows = self._filtered(where, viewer_id, projection)
            return Keyset(rows=rows, order=self.order, newest_first=self.newest_first)
        return Keyset(
            rows=self._present_rows(where, projection),
            order=self.order,
            newest_first=self.newest_first,
            project=self.project,
            projects=select(projects.c.id).where(visible_to(viewer_id)).subquery("mine"),
        )

    def cursor(self, row: Row, viewer_tag: str) -> str:
        """The cursor of a row, for the viewer with this tag."""
        return cursors.encode(self.name, viewer_tag, [row[column.key or ""] for column in self.order])

    def decoded(self, cursor: str, viewer_tag: str, *, field: str) -> list[Any]:
        """The values of `order` in a cursor; raises `Invalid`."""
        return cursors.decode(cursor, self.name, viewer_tag, self.order, field=field)

    def _cursor_parameters(self, side: str) -> Position:
        """The parameters for the cursor on one side of a page."""
        return [bindparam(f"{side}_{index}", type_=column.type) for index, column in enumerate(self.order)]

    def _cursor_values(self, page: PageRequest, viewer_tag: str) -> dict[str, Any]:
        """The values of the parameters for a page's cursors."""
        cursors = {"after": page.after, "before": page.before}
        return {
            f"{side}_{index}": value
            for side, cursor in cursors.items()
            if cursor is not None
            for index, value in enumerate(self.decoded(cursor, viewer_tag, field=side))
        }

    def _slice(
        self,
        parent: str,
        found: Rows,
        outside: OutsidePage,
        page: PageRequest,
        viewer_tag: str,
        *,
        is_partial: bool,
    ) -> PageResult[Any]:
        """A page from its rows and one row more if there are more."""
        has_more, indices = len(found.indices) > page.size, found.indices[: page.size]
        rows = Rows(found.columns, indices[::-1] if page.backward else indices)
        # An empty page has no row that says what is outside: its cursor was made of a row, so a row was there.
        has_earlier = page.after is not None and (not indices or outside.earlier[indices[0]])
        has_later = page.before is not None and (not indices or outside.later[indices[0]])
        return PageResult(
            parent=parent,
            rows=() if is_partial else tuple(map(self.build, rows.all())),
            partial_rows=rows if is_partial else None,
            cursor=lambda index: self.cursor(rows.at(index), viewer_tag),
            has_next=has_later or (has_more and not page.backward),
            has_previous=has_earlier or (has_more and page.backward),
        )


def _ranges(numbers: Sequence[int], count: int) -> list[range]:
    """The range of indexes of each number from 1 to `count` in a sorted column."""
    lengths = Counter(numbers)
    stops = list(accumulate(lengths[number] for number in range(1, count + 1)))
    return [range(start, stop) for start, stop in zip([0, *stops], stops, strict=False)]
