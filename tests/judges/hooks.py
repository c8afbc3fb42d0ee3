"""Hooks of Schemathesis, which loads this file by itself."""

from dataclasses import replace
from functools import cache

import schemathesis
from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    SelectionNode,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    get_named_type,
    is_required_argument,
    parse,
    visit,
)
from schemathesis import HookContext

PAGING = {"first", "after", "last", "before"}


class DocumentExtender(Visitor):
    """Extends generated documents, most of which are refused before execution or select very little."""

    def __init__(self, info: TypeInfo) -> None:
        super().__init__()
        self._info = info

    def leave_field(self, node: FieldNode, *_: object) -> FieldNode:
        """Keep one of the paging arguments, as most combinations are refused, and select every field of an object."""
        given = node.arguments or ()
        surplus = [argument for argument in given if argument.name.value in PAGING][1:]
        node = replace(node, arguments=tuple(argument for argument in given if argument not in surplus))
        kind = get_named_type(self._info.get_type())
        if node.selection_set is None or not isinstance(kind, GraphQLObjectType):
            return node
        drawn = node.selection_set.selections
        names = {(field.alias or field.name).value for field in drawn if isinstance(field, FieldNode)}
        more = tuple(
            field
            for field in everything(kind)
            if isinstance(field, FieldNode) and field.name.value not in names
        )
        return replace(node, selection_set=replace(node.selection_set, selections=(*drawn, *more)))


@cache
def everything(kind: GraphQLObjectType) -> tuple[SelectionNode, ...]:
    """The fields of a type without required arguments; of nested objects, their scalars."""
    selection = [f"{name} {inner}" for name, inner in plain(kind).items()]
    (operation,) = parse(f"{{ {' '.join(selection)} }}").definitions
    assert isinstance(operation, OperationDefinitionNode)
    return tuple(operation.selection_set.selections)


def plain(kind: GraphQLObjectType, *, nested: bool = True) -> dict[str, str]:
    """The fields of a type without required arguments, each with its selection set."""
    found = {}
    for name, field in kind.fields.items():
        inner = get_named_type(field.type)
        if any(map(is_required_argument, field.args.values())):
            continue
        if not hasattr(inner, "fields"):
            found[name] = ""
        elif nested and isinstance(inner, GraphQLObjectType):
            found[name] = f"{{ __typename {' '.join(plain(inner, nested=False))} }}"
    return found


@schemathesis.hook
def map_body(context: HookContext, body: DocumentNode) -> DocumentNode:
    """Extend each generated document before it is sent."""
    assert context.operation is not None
    schema: GraphQLSchema = context.operation.schema.client_schema
    info = TypeInfo(schema)
    extended: DocumentNode = visit(body, TypeInfoVisitor(info, DocumentExtender(info)))
    return extended
