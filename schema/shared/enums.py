"""Enums of the domain as enums of the schema."""

from enum import StrEnum

import strawberry


def register_enum(kind: type[StrEnum], description: str, **values: str) -> None:
    """Register an enum of the domain with descriptions of the enum and of its values."""
    strawberry.enum(kind, description=description)
    for value in kind.__strawberry_definition__.values:  # type: ignore[attr-defined]
        value.description = values.get(value.name)
