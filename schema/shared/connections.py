"""Relay connections over keyset pages."""

from collections.abc import Callable
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

import strawberry

from domain.pages import Page, Slice
from resolvers import reading
from schema.execution._dataloader import BatchResolver
from schema.shared.nodes import Info, load
from schema.shared.projection import asked, shown

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


class Total(NamedTuple):
    """How a list's length is asked for, when it is."""

    resolve: BatchResolver
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
            start_cursor=found.cursor(0) if found else None,
            end_cursor=found.cursor(len(found) - 1) if found else None,
        )

    @strawberry.field(description="The length of the whole list, counted no further than 10,001.")
    def total_count(self, info: Info) -> int:
        """Counted only when asked for."""
        return load(info, self.total.resolve, self.found.parent, *self.total.arguments).then(int, nothing=0)


def page_of(
    info: Info, resolve: BatchResolver, parent: str, page: Page, of: Callable[[Any], Any], total: Total
) -> Any:
    """A page of a parent's list that has a resolver of its own, as Relay wants it."""
    wanted = load(info, resolve, parent, page, *total.arguments)
    return wanted.then(lambda found: Connection(nodes=list(map(of, found.rows)), found=found, total=total))


def connect(
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
    total = Total(reading.totals, (noun, by, where))
    wanted = load(info, reading.pages, key, noun, by, where, page, asked(info, noun))
    return wanted.then(lambda found: Connection(nodes=shown(noun, found), found=found, total=total))
