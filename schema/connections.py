"""Relay connections over keyset pages."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

import strawberry

from domain.pages import Page, Slice
from resolvers import reading
from schema.base import Batch, Info, load
from schema.selection import asked, shown

T = TypeVar("T")

First = Annotated[int | None, strawberry.argument(description="How many from the start, 1 to 100.")]
After = Annotated[str | None, strawberry.argument(description="Only what comes after this cursor.")]
Last = Annotated[int | None, strawberry.argument(description="How many from the end, 1 to 100.")]
Before = Annotated[str | None, strawberry.argument(description="Only what comes before this cursor.")]

Matching = Annotated[
    T | None, strawberry.argument(description="Which ones to show; all of them where it is absent.")
]
WithStatus = Annotated[T | None, strawberry.argument(description="Only those with this status.")]
OfType = Annotated[T | None, strawberry.argument(description="Only those of this type.")]


@strawberry.type(description="Where a page lies in its list.")
class PageInfo:
    """Where a page lies in its list."""

    has_next_page: bool = strawberry.field(description="Whether more comes after this page.")
    has_previous_page: bool = strawberry.field(description="Whether something comes before this page.")
    start_cursor: str | None = strawberry.field(description="The first row's cursor.")
    end_cursor: str | None = strawberry.field(description="The last row's cursor.")


@strawberry.type(description="A row of a list and its place.")
class Edge(Generic[T]):
    """A row of a list and its place."""

    cursor: str = strawberry.field(description="The row's place: hand it to `after` or `before`.")
    node: T = strawberry.field(description="The row.")


@dataclass(frozen=True, slots=True)
class Total:
    """How a list's length is asked for, when it is."""

    resolve: Batch
    key: str
    arguments: tuple[Any, ...]


@strawberry.type(description="A page of a list.")
class Connection(Generic[T]):
    """A page of a list."""

    nodes: list[T] = strawberry.field(description="The rows alone.")
    found: strawberry.Private[Slice[Any]]
    total: strawberry.Private[Total]

    @strawberry.field(description="The rows with their cursors.")
    def edges(self) -> list[Edge[T]]:
        """Made only when asked for."""
        return [Edge(cursor=self.found.cursor(index), node=node) for index, node in enumerate(self.nodes)]

    @strawberry.field(description="Where the page lies.")
    def page_info(self) -> PageInfo:
        """Made only when asked for."""
        found = self.found
        return PageInfo(
            has_next_page=found.has_next,
            has_previous_page=found.has_previous,
            start_cursor=found.cursor(0) if found.rows else None,
            end_cursor=found.cursor(len(found.rows) - 1) if found.rows else None,
        )

    @strawberry.field(description="The length of the whole list, counted no further than 10,001.")
    async def total_count(self, info: Info) -> int:
        """Counted only when asked for."""
        return await load(info, self.total.resolve, self.total.key, *self.total.arguments) or 0


def connection(found: Slice[Any], of: Callable[[Any], T], total: Total) -> Connection[T]:
    """A page as Relay wants it."""
    return Connection(nodes=[of(row) for row in found.rows], found=found, total=total)


async def connect(
    info: Info,
    noun: str,
    page: Page,
    *,
    parent: str | None = None,
    by: str | None = None,
    where: Any = None,
) -> Any:
    """A page of a parent's list of a noun; of all that the viewer has where there is no parent."""
    key = parent or info.context.viewer_id
    found = await load(info, reading.pages, key, noun, by, where, page, asked(info, noun))
    return connection(found, lambda row: shown(noun, row), Total(reading.totals, key, (noun, by, where)))
