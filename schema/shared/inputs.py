"""Input fields that may be absent, which differs from null."""

from dataclasses import fields
from typing import Any

import strawberry


def optional(description: str) -> Any:
    """An input field that may be absent; `given_fields` distinguishes that from null."""
    return strawberry.field(default=strawberry.UNSET, description=description)


def given_fields(input: Any, *without: str) -> dict[str, Any]:
    """The fields that the client gave, null ones too, by their Python names; without those named in `without`."""
    names = (field.name for field in fields(input))
    values = ((name, getattr(input, name)) for name in names if name not in without)
    return {name: value for name, value in values if value is not strawberry.UNSET}


def or_none(value: Any) -> Any:
    """The value of an optional input field; None where it is absent."""
    return None if value is strawberry.UNSET else value
