"""How every noun is read: by id, and in keyset pages of any number of parents with one statement."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    FromClause,
    Integer,
    RowMapping,
    Select,
    bindparam,
    column,
    func,
    literal,
    select,
    tuple_,
)
from sqlalchemy.ext.asyncio import AsyncSession

from domain.pages import COUNT_CEILING, Page, Slice
from infra.db import cursors, tables

T = TypeVar("T")

ROWS_AT_A_TIME = 500
PARENT, NUMBER = "page_parent", "page_number"


def may_see(viewer_id: str) -> ColumnElement[bool]:
    """What a viewer may see of projects: the ones they own. The one place that says so."""
    return tables.projects.c.owner_id == viewer_id


class Reader(Generic[T]):
    """Reads one noun. A subclass says where its rows are, in which order, and how one becomes a `T`."""

    name: ClassVar[str]
    source: ClassVar[FromClause]
    columns: ClassVar[Sequence[ColumnElement[Any]]]
    order: ClassVar[Sequence[ColumnElement[Any]]]
    newest_first: ClassVar[bool] = True

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def build(self, row: RowMapping) -> T:
        """A domain object from one row."""
        raise NotImplementedError

    def visible(self, viewer_id: str) -> ColumnElement[bool]:
        """Which rows a viewer may see."""
        return may_see(viewer_id)

    def matching(self, where: Any) -> list[ColumnElement[bool]]:  # noqa: ARG002 - a subclass reads its filter
        """The conditions of a filter."""
        return []

    @property
    def key(self) -> ColumnElement[Any]:
        """The column that identifies a row."""
        return self.columns[0]

    def rows(self, viewer_id: str) -> Select[Any]:
        """Every row that a viewer may see."""
        return select(*self.columns).select_from(self.source).where(self.visible(viewer_id))

    async def get(self, id: str, *, viewer_id: str) -> T | None:
        """One row; None when it is missing or another's."""
        return (await self.many([id], viewer_id=viewer_id)).get(id)

    async def many(self, ids: list[str], *, viewer_id: str) -> dict[str, T]:
        """Rows by id; the missing ones are absent."""
        return await self._by_id(self.rows(viewer_id).where(self.key.in_(ids)))

    async def _by_id(self, statement: Select[Any]) -> dict[str, T]:
        found = (await self._session.execute(statement)).mappings()
        return {row[self.key.key or "id"]: self.build(row) for row in found}

    async def pages(
        self, parents: list[str], page: Page, *, by: str | None = None, where: Any = None, viewer_id: str
    ) -> dict[str, Slice[T]]:
        """The same page of each parent's list; `by` names the parent's column, None means the viewer's own."""
        wanted = self._window(self._filtered(where, viewer_id), page)
        statement = wanted if by is None else self._for_each(parents, by, wanted)
        found: dict[str, list[RowMapping]] = {parent: [] for parent in parents}
        for row in (await self._session.execute(statement)).mappings():
            found[parents[0] if by is None else row[PARENT]].append(row)
        return {parent: self._slice(rows, page) for parent, rows in found.items()}

    async def totals(
        self, parents: list[str], *, by: str | None = None, where: Any = None, viewer_id: str
    ) -> dict[str, int]:
        """The length of each parent's list, counted no further than `COUNT_CEILING`."""
        listed = self._filtered(where, viewer_id).with_only_columns(literal(1, Integer).label("one"))
        if by is None:
            counted = select(func.count()).select_from(listed.limit(COUNT_CEILING).subquery())
            return {parents[0]: await self._session.scalar(counted) or 0}
        each = self._parents(parents, by)
        limited = (
            listed.where(self._parent_column(by) == each.c[PARENT]).limit(COUNT_CEILING).subquery().lateral()
        )
        counted = (
            select(each.c[PARENT], func.count(limited.c.one).label("rows"))
            .select_from(each.outerjoin(limited, literal(value=True)))
            .group_by(each.c[PARENT])
        )
        found = (await self._session.execute(counted)).mappings()
        return {row[PARENT]: row["rows"] for row in found}

    async def streamed(self, statement: Select[Any]) -> AsyncGenerator[T, None]:
        """All rows of a statement from a server-side cursor: memory stays flat, however many there are."""
        found = await self._session.stream(statement, execution_options={"yield_per": ROWS_AT_A_TIME})
        try:
            async for row in found.mappings():
                yield self.build(row)
        finally:  # also where a cancelled request takes every further await away
            await asyncio.shield(found.close())

    def _filtered(self, where: Any, viewer_id: str) -> Select[Any]:
        statement = self.rows(viewer_id)
        return statement.where(*self.matching(where)) if where is not None else statement

    def _parent_column(self, by: str) -> ColumnElement[Any]:
        return next(it for it in self.source.c if it.name == by)

    def _parents(self, parents: list[str], by: str) -> Any:
        type_ = self._parent_column(by).type
        unnested = func.unnest(bindparam(None, parents, type_=ARRAY(type_), unique=True))
        return unnested.table_valued(
            column(PARENT, type_), with_ordinality=NUMBER, name="parents"
        ).render_derived(with_types=False)

    def _window(self, statement: Select[Any], page: Page) -> Select[Any]:
        """The rows of a page in reading direction, and one more, which tells whether there are more."""
        keys = tuple_(*self.order)
        if page.after is not None:
            place = tuple_(*self._place(page.after))
            statement = statement.where(keys < place if self.newest_first else keys > place)
        if page.before is not None:
            place = tuple_(*self._place(page.before))
            statement = statement.where(keys > place if self.newest_first else keys < place)
        descending = self.newest_first is not page.backward
        ordered = [it.desc() if descending else it.asc() for it in self.order]
        return statement.order_by(*ordered).limit(page.size + 1)

    def cursor(self, row: RowMapping) -> str:
        """The place of a row in its list."""
        return cursors.encode(self.name, [row[it.key or ""] for it in self.order])

    def decoded(self, cursor: str) -> list[Any]:
        """The values of `order` that a cursor names; raises `Invalid`."""
        return cursors.decode(cursor, self.name, self.order)

    def _place(self, cursor: str) -> list[Any]:
        values = self.decoded(cursor)
        return [literal(value, it.type) for value, it in zip(values, self.order, strict=True)]

    def _for_each(self, parents: list[str], by: str, wanted: Select[Any]) -> Select[Any]:
        """One lateral subquery per parent, all in one statement, in order."""
        each = self._parents(parents, by)
        numbered = wanted.add_columns(
            func.row_number().over(order_by=wanted._order_by_clauses).label("row_in_page")  # noqa: SLF001
        )
        part = numbered.where(self._parent_column(by) == each.c[PARENT]).lateral("part")
        return (
            select(each.c[PARENT], *(it for it in part.c if it.name != "row_in_page"))
            .select_from(each.join(part, literal(value=True)))
            .order_by(each.c[NUMBER], part.c.row_in_page)
        )

    def _slice(self, rows: list[RowMapping], page: Page) -> Slice[T]:
        more, rows = len(rows) > page.size, rows[: page.size]
        if page.backward:
            rows.reverse()
        return Slice(
            rows=tuple(self.build(row) for row in rows),
            cursors=tuple(self.cursor(row) for row in rows),
            has_next=page.before is not None if page.backward else more,
            has_previous=more if page.backward else page.after is not None,
        )
