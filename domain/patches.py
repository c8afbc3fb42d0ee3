"""Partial updates: an absent field leaves the value unchanged, null clears it."""

from collections.abc import Mapping
from typing import Any

from domain.errors import Invalid


def camel_case(name: str) -> str:
    """A snake_case name in camelCase, as the API has it."""
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))


def changed_values(
    before: object, patch: Mapping[str, Any], *, required: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """The values of `patch` that differ from `before`; raises `Invalid` when none does.

    `patch` has the fields that the caller gave. Raises `Invalid` when one that is `required` is None.
    """
    for name in sorted(required & patch.keys()):
        if patch[name] is None:
            raise Invalid(f"`{camel_case(name)}` cannot be null.", reason="REQUIRED", field=camel_case(name))
    changed = {name: value for name, value in patch.items() if getattr(before, name) != value}
    if not changed:
        raise Invalid("There is nothing to change in this update.", reason="NOTHING_TO_CHANGE")
    return changed
