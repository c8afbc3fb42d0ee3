"""Fields of inputs that may be absent, which is not the same as null."""

from dataclasses import fields
from typing import Any

import strawberry


def optional(description: str) -> Any:
    """An input field that may be absent, which `given` and `or_none` tell from null."""
    return strawberry.field(default=strawberry.UNSET, description=description)


def given(input: Any, *without: str) -> dict[str, Any]:
    """The fields of an input that the caller gave, by their Python names."""
    names = (it.name for it in fields(input))
    values = ((name, getattr(input, name)) for name in names if name not in without)
    return {name: value for name, value in values if value is not strawberry.UNSET}


def or_none(value: Any) -> Any:
    """An optional input's value, None when it is absent."""
    return None if value is strawberry.UNSET else value
