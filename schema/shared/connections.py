"""Relay connections over keyset pages."""

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from inspect import Parameter
from typing import Annotated, Any, Generic, TypeVar

import strawberry

from domain.pages import PageRequest, PageResult
from domain.reading import Collection, Parent
from resolvers import reading
from schema.shared._projection import graphql_objects, required_attributes
from schema.shared.context import Info
from schema.shared.nodes import load

T = TypeVar("T")


First = Annotated[
    int | None,
    strawberry.argument(
        description="Number of nodes from the start of the list, 1 to 100; 20 "
        "when neither `first` nor `last` is given."
    ),
]
After = Annotated[str | None, strawberry.argument(description="Only nodes after this cursor.")]
Last = Annotated[
    int | None,
    strawberry.argument(
        description="Number of nodes from the end of the list, 1 to 100; not together with `first`."
    ),
]
Before = Annotated[str | None, strawberry.argument(description="Only nodes before this cursor.")]


@strawberry.type(description="Pagination state of a connection (Relay).")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether the list has nodes after this page.")
    has_previous_page: bool = strawberry.field(description="Whether the list has nodes before this page.")
    start_cursor: str | None = strawberry.field(
        description="Cursor of the first node of the page; null when the page is empty."
    )
    end_cursor: str | None = strawberry.field(
        description="Cursor of the last node of the page; null when the page is empty."
    )


@strawberry.type(description="A node of a connection with its cursor.")
class Edge(Generic[T]):
    cursor: str = strawberry.field(
        description="Opaque position of the node in the list, for `after` and `before`."
    )
    node: T = strawberry.field(description="The object at this position.")


@strawberry.type(description="One page of a list (Relay connection).")
class Connection(Generic[T]):
    nodes: list[T] = strawberry.field(description="Objects of the page, without cursors.")
    page: strawberry.Private[PageResult[Any]]
    list_arguments: strawberry.Private[tuple[Any, ...]]

    @strawberry.field(description="Objects of the page, each with its cursor.")
    def edges(self) -> list[Edge[T]]:
        """Made only where they are selected."""
        return [Edge(cursor=self.page.cursor(index), node=node) for index, node in enumerate(self.nodes)]

    @strawberry.field(
        description="Whether there are further pages, and the cursors at both ends of this one."
    )
    def page_info(self) -> PageInfo:
        """Made only where it is selected."""
        page = self.page
        return PageInfo(
            has_next_page=page.has_next,
            has_previous_page=page.has_previous,
            start_cursor=page.cursor(0) if page else None,
            end_cursor=page.cursor(len(page) - 1) if page else None,
        )

    @strawberry.field(
        description="Length of the whole list with its filter applied, counted up "
        "to 10,001; that value means more than 10,000."
    )
    def total_count(self, info: Info) -> int:
        """Counted only where it is selected."""
        return load(info, reading.totals, self.page.parent, *self.list_arguments).then(int, default=0)


def connection(description: str, *, metadata: Mapping[str, Any] | None = None) -> Callable[..., Any]:
    """A field that is a connection: its resolver takes `page`, for which the field has Relay's four arguments."""

    def decorate(resolver: Callable[..., Any]) -> Any:
        resolve = _with_relay_arguments(resolver)
        return strawberry.field(resolver=resolve, description=description, metadata=metadata)

    return decorate


RELAY_ARGUMENTS = {"first": First, "after": After, "last": Last, "before": Before}


def _with_relay_arguments(resolver: Callable[..., Any]) -> Callable[..., Any]:
    """A resolver that takes Relay's arguments; it raises `Invalid` where they do not define a page."""

    @wraps(resolver)
    def resolve(
        source: Any,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
        **arguments: Any,
    ) -> Any:
        return resolver(source, page=PageRequest.of(first, after, last, before), **arguments)

    signature = inspect.signature(resolver)
    own = [parameter for name, parameter in signature.parameters.items() if name != "page"]
    relay = [
        Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, default=None, annotation=annotation)
        for name, annotation in RELAY_ARGUMENTS.items()
    ]
    resolve.__signature__ = signature.replace(parameters=[*own, *relay])  # type: ignore[attr-defined]
    annotations = {name: kind for name, kind in resolver.__annotations__.items() if name != "page"}
    resolve.__annotations__ = annotations | RELAY_ARGUMENTS
    return resolve


def load_connection(
    info: Info,
    collection: Collection,
    page: PageRequest,
    *,
    parent: str | None = None,
    by: Parent | None = None,
    where: Any = None,
    convert_row: Callable[[Any], Any] | None = None,
) -> Any:
    """A `Deferred` of a page of a parent's list; without a parent, of the viewer's own list over all parents.

    `convert_row` converts rows that are no nodes to GraphQL objects.
    """
    key, noun = parent or info.context.viewer_id, collection.noun
    projection = required_attributes(info, noun) if noun else None

    def convert(found: PageResult[Any]) -> Connection[Any]:
        nodes = graphql_objects(noun, found) if noun else list(map(convert_row, found.rows))  # type: ignore[arg-type]
        return Connection(nodes=nodes, page=found, list_arguments=(collection, by, where))

    return load(info, reading.pages, key, collection, by, where, page, projection).then(convert)
