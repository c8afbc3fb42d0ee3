"""How enums of the domain become enums of the schema."""

from enum import StrEnum

import strawberry


def enumeration(kind: type[StrEnum], description: str, **values: str) -> None:
    """Register an enum of the domain, and what each of its values means."""
    strawberry.enum(kind, description=description)
    for value in kind.__strawberry_definition__.values:  # type: ignore[attr-defined]
        value.description = values.get(value.name)
