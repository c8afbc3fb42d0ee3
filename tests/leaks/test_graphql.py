"""Faults of GraphQL fields and subscriptions are masked, and logged under the request's id."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    get_named_type,
    is_required_argument,
    is_required_input_field,
)

from tests.introspection import NODES, SCHEMA, selected
from tests.leaks.faults import MASKED, SECRET, faults_logged, leaks
from tests.sample_data import SampleData

pytestmark = pytest.mark.anyio


def resolver(field: GraphQLField) -> Any:
    """Strawberry's wrapper of a field's resolver function; None for a field without one."""
    definition = (field.extensions or {}).get("strawberry-definition")
    return definition.base_resolver if definition is not None else None


def resolved() -> Iterator[tuple[GraphQLObjectType, str, GraphQLField]]:
    """Every field with a resolver function: its type, name and definition."""
    for kind in SCHEMA.type_map.values():
        for name, field in kind.fields.items() if isinstance(kind, GraphQLObjectType) else ():
            if resolver(field) is not None:
                assert isinstance(kind, GraphQLObjectType)
                yield kind, name, field


def literal(type: Any) -> str:
    """A valid literal of an input type."""
    if isinstance(type, GraphQLNonNull):
        return literal(type.of_type)
    if isinstance(type, GraphQLList):
        return f"[{literal(type.of_type)}]"
    if isinstance(type, GraphQLEnumType):
        return str(next(iter(type.values)))
    if isinstance(type, GraphQLInputObjectType):
        return f"{{{literals(type.fields, is_required_input_field)}}}"
    return {"ID": '"prj_1"', "String": '"text"', "Int": "1", "Boolean": "true"}[type.name]


def literals(parameters: Mapping[str, Any], is_required: Callable[[Any], bool]) -> str:
    """A literal for each required argument or input field."""
    return ", ".join(
        f"{name}: {literal(parameter.type)}"
        for name, parameter in parameters.items()
        if is_required(parameter)
    )


def selection(name: str, field: GraphQLField) -> str:
    """A field with its required arguments and a selection."""
    arguments = literals(field.args, is_required_argument)
    return f"{name}{f'({arguments})' if arguments else ''} {selected(field)}"


def document_to(kind: GraphQLObjectType, inner: str, owner: SampleData) -> str:
    """A document that selects `inner` on an object of this type, wherever the schema has one."""
    roots: dict[Any, str] = {SCHEMA.query_type: "query", SCHEMA.mutation_type: "mutation"}
    if kind in roots:
        return f"{roots[kind]} {{ {inner} }}"
    if kind.name in NODES:
        return f'{{ node(id: "{owner.ids[kind.name]}") {{ ... on {kind.name} {{ {inner} }} }} }}'
    parent, name = next(
        (parent, name)
        for parent in SCHEMA.type_map.values()
        if isinstance(parent, GraphQLObjectType) and (parent in roots or parent.name in NODES)
        for name, field in parent.fields.items()
        if get_named_type(field.type) is kind
    )
    return document_to(parent, f"{name} {{ {inner} }}", owner)


async def test_the_fault_of_a_resolver_is_masked(
    owner: SampleData, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError(SECRET)

    async def fail_later(*_: Any, **__: Any) -> None:
        raise RuntimeError(SECRET)

    fields = [(kind, name, field) for kind, name, field in resolved() if kind is not SCHEMA.subscription_type]
    assert len(fields) > 100
    for kind, name, field in fields:
        for number, resolve in enumerate((fail, fail_later)):
            place, document = f"{kind.name}.{name}.{number}", document_to(kind, selection(name, field), owner)
            with monkeypatch.context() as patched:
                patched.setattr(resolver(field), "wrapped_func", resolve)
                headers = {"x-request-id": place}
                response = await owner.api.rest.post("/graphql", json={"query": document}, headers=headers)
            (error,) = response.json().get("errors") or [None]
            assert error, (place, document, response.text)
            assert (error["message"], error["path"][-1]) == (MASKED, name), (place, error)
            assert error["extensions"] == {"code": "INTERNAL", "requestId": place}
            assert not leaks(response.text + str(response.headers))
            (line,) = faults_logged(caplog, place)
            assert (line["path"], SECRET in line["error"]) == (error["path"], True)


async def test_a_value_of_the_wrong_type_is_an_internal_error_and_is_not_shown(
    owner: SampleData, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fields = [
        (kind, name, field)
        for kind, name, field in resolved()
        if kind.name in NODES and name in {"stage", "downloadUrl", "progress"}
    ]
    assert len(fields) > 3
    for kind, name, field in fields:
        place, document = f"{kind.name}.{name}", document_to(kind, selection(name, field), owner)
        with monkeypatch.context() as patched:
            patched.setattr(resolver(field), "wrapped_func", lambda *_, **__: {SECRET: 1})
            headers = {"x-request-id": place}
            response = await owner.api.rest.post("/graphql", json={"query": document}, headers=headers)
        (error,) = response.json()["errors"]
        assert (error["message"], error["extensions"]["code"]) == (MASKED, "INTERNAL")
        assert not leaks(response.text)
        assert len(faults_logged(caplog, place)) == 1
