"""Random valid documents for any schema."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLField,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    OperationType,
    get_named_type,
    is_abstract_type,
    is_composite_type,
)

Value = Callable[[str, str, GraphQLArgument], str | None]
"""A literal for a field's argument, by both names; None to leave it out."""


VARIABLES = {"$yes": "$yes: Boolean! = true", "$no": "$no: Boolean = false"}
"""`$no` may be null, which is an error where it is used."""


@dataclass
class Queries:
    """Generates documents, each with its variables."""

    schema: GraphQLSchema
    random: Random
    value: Value
    depth: int = 5
    size: int = 25
    without: frozenset[str] = frozenset()
    _fragments: dict[str, tuple[str, str]] = field(default_factory=dict)
    _names: dict[tuple[str, str, str, bool], str] = field(default_factory=dict)
    _left: int = 0

    def document(self, kind: OperationType = OperationType.QUERY) -> tuple[str, dict[str, Any]]:
        """One operation with the fragments that it spreads."""
        self._fragments, self._names, self._left = {}, {}, self.random.randrange(1, self.size)
        root = self.schema.get_root_type(kind)
        assert root is not None
        body = self._selection(root, self.depth, is_single=kind is OperationType.SUBSCRIPTION)
        whole = " ".join([body, *(text for _, text in self._fragments.values())])
        used = ", ".join(definition for name, definition in VARIABLES.items() if name in whole)
        variables = {"yes": self._coin()} if self._coin() else {}
        return f"{kind.value} {f'({used})' if used else ''} {whole}", variables | (
            {} if self._coin(0.9) else {"no": None}
        )

    def _coin(self, chance: float = 0.5) -> bool:
        return self.random.random() < chance

    def _selection(self, kind: GraphQLNamedType, depth: int, *, is_single: bool = False) -> str:
        named: Mapping[str, GraphQLField] = getattr(kind, "fields", {})
        fields = [item for item in named.items() if self._is_wanted(*item, depth)]
        width = 1 if is_single else self.random.randrange(1, 6)
        chosen = self.random.choices(fields, k=width if fields else 0)
        parts = []
        for name, graphql_field in chosen if chosen or is_single else [("", None)]:
            if not is_single and depth > 1 and self._coin(0.3):
                parts.append(self._fragment(kind, depth))
            if graphql_field and self._goes_on():
                parts.append(self._field(name, graphql_field, depth, is_single=is_single))
        parts += ["__typename"] * (not parts or (not is_single and self._coin(0.3)))
        return f"{{ {' '.join(parts)} }}"

    def _is_wanted(self, name: str, field: GraphQLField, depth: int) -> bool:
        return name not in self.without and (depth > 1 or not is_composite_type(get_named_type(field.type)))

    def _goes_on(self) -> bool:
        self._left -= 1
        return self._left >= 0

    def _field(self, name: str, field: GraphQLField, depth: int, *, is_single: bool) -> str:
        given = [(key, self.value(name, key, argument)) for key, argument in field.args.items()]
        arguments = ", ".join(f"{key}: {value}" for key, value in given if value is not None)
        kind = get_named_type(field.type)
        below = self._selection(kind, depth - 1) if is_composite_type(kind) else ""
        directive = "" if is_single else self._directive()
        alias = self._alias(name, str(field.type), arguments)
        return f"{alias}{name}{f'({arguments})' if arguments else ''} {directive} {below}"

    def _alias(self, name: str, kind: str, arguments: str) -> str:
        """One of two aliases of a field with its arguments, so that many fields are merged.

        Nothing else has them: what is asked for twice under one name must be the same twice, in whatever type.
        """
        is_second = self._coin(0.2)
        what = name, kind, arguments, is_second
        if what not in self._names:
            is_free = not is_second and name not in self._names.values()
            self._names[what] = name if is_free else f"a{len(self._names)}"
        return "" if self._names[what] == name else f"{self._names[what]}: "

    def _directive(self) -> str:
        if self._coin(0.8):
            return ""
        return (
            f"@{self.random.choice(['skip', 'include'])}(if: {self.random.choice(['$yes', '$no', 'true'])})"
        )

    def _fragment(self, kind: GraphQLNamedType, depth: int) -> str:
        narrower = [kind]
        if is_abstract_type(kind):
            narrower += self.schema.get_possible_types(kind)
        elif isinstance(kind, GraphQLObjectType):
            narrower += kind.interfaces
        on = self.random.choice(narrower)
        known = [name for name, (kind, _) in self._fragments.items() if kind == on.name]
        if known and self._coin():
            return f"...{self.random.choice(known)}"
        body = self._selection(on, depth - 1)
        if self._coin():
            return f"... on {on.name} {self._directive()} {body}"
        # It is known from now on, and so never spread inside of itself.
        name = f"F{len(self._fragments)}"
        self._fragments[name] = on.name, f"fragment {name} on {on.name} {body}"
        return f"...{name}"
