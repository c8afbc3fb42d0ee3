"""Partial updates: an absent field leaves the value as it is, null clears it."""

from collections.abc import Mapping
from typing import Any

from domain.errors import Invalid


def camel(name: str) -> str:
    """A field's name as the API spells it."""
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))


def changes(
    before: object, patch: Mapping[str, Any], *, required: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """What `patch` would really change of `before`; raises `Invalid` when that is nothing.

    `patch` holds only what the caller gave. A `required` field cannot be cleared.
    """
    for name in sorted(required & patch.keys()):
        if patch[name] is None:
            raise Invalid(f"`{camel(name)}` cannot be null.", reason="REQUIRED", field=name)
    changed = {name: value for name, value in patch.items() if getattr(before, name) != value}
    if not changed:
        raise Invalid("There is nothing to change in this update.", reason="NOTHING_TO_CHANGE")
    return changed
