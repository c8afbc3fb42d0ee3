"""Relay connections over keyset pages."""

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from inspect import Parameter
from typing import Annotated, Any, Generic, TypeVar

import strawberry

from domain.pages import Page, PageSlice
from domain.reading import Collection, Parent
from resolvers import reading
from schema.shared.context import Info
from schema.shared.nodes import load
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


@strawberry.type(description="A page of a list.")
class Connection(Generic[T]):
    """A page of a list."""

    nodes: list[T] = strawberry.field(description="The rows alone.")
    found: strawberry.Private[PageSlice[Any]]
    counted: strawberry.Private[tuple[Any, ...]]

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
        return load(info, reading.totals, self.found.parent, *self.counted).then(int, default=0)


def connection(description: str, *, metadata: Mapping[str, Any] | None = None) -> Callable[..., Any]:
    """A field that is a page of a list.

    The resolver takes `page`; the field has Relay's four arguments in its place.
    """

    def made(resolver: Callable[..., Any]) -> Any:
        return strawberry.field(resolver=_paged(resolver), description=description, metadata=metadata)

    return made


RELAY = {"first": First, "after": After, "last": Last, "before": Before}


def _paged(resolver: Callable[..., Any]) -> Callable[..., Any]:
    """A resolver with Relay's arguments; raises `Invalid` where they make no page."""

    @wraps(resolver)
    def resolve(
        source: Any,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
        **given: Any,
    ) -> Any:
        return resolver(source, page=Page.of(first, after, last, before), **given)

    signature = inspect.signature(resolver)
    own = [parameter for name, parameter in signature.parameters.items() if name != "page"]
    relay = [
        Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, default=None, annotation=annotation)
        for name, annotation in RELAY.items()
    ]
    resolve.__signature__ = signature.replace(parameters=[*own, *relay])  # type: ignore[attr-defined]
    annotations = {name: kind for name, kind in resolver.__annotations__.items() if name != "page"}
    resolve.__annotations__ = annotations | RELAY
    return resolve


def connect(
    info: Info,
    collection: Collection,
    page: Page,
    *,
    parent: str | None = None,
    by: Parent | None = None,
    where: Any = None,
    of: Callable[[Any], Any] | None = None,
) -> Any:
    """A page of a parent's list; of all that the viewer has where there is no parent.

    `of` makes a GraphQL object of a row that is no node.
    """
    key = parent or info.context.viewer_id
    only = None if collection.noun is None else asked(info, collection.noun)
    wanted = load(info, reading.pages, key, collection, by, where, page, only)

    def made(found: PageSlice[Any]) -> Connection[Any]:
        nodes = list(map(of, found.rows)) if collection.noun is None else shown(collection.noun, found)  # type: ignore[arg-type]
        return Connection(nodes=nodes, found=found, counted=(collection, by, where))

    return wanted.then(made)
