"""Rules that many nouns share."""

import re

from domain.errors import Invalid

NAME_LIMIT = 200
TEXT_LIMIT = 65_536


def named(value: str, field: str, *, limit: int = NAME_LIMIT) -> str:
    """A name without the blanks around it; raises `Invalid` when nothing is left or it is too long."""
    name = value.strip()
    if not name:
        raise Invalid(f"`{field}` must not be empty.", reason="REQUIRED", field=field)
    return bounded(name, field, limit=limit)


def bounded(value: str, field: str, *, limit: int = TEXT_LIMIT) -> str:
    """A text that PostgreSQL can hold and that is not too long."""
    if "\x00" in value or any("\ud800" <= c <= "\udfff" for c in value):
        raise Invalid(f"`{field}` has a character that cannot be kept.", reason="INVALID_TEXT", field=field)
    if len(value) > limit:
        raise Invalid(f"`{field}` may have at most {limit:,} characters.", reason="TOO_LONG", field=field)
    return value


def within(value: float, field: str, low: float, high: float, *, open_low: bool = False) -> None:
    """Raise `Invalid` unless low ≤ value ≤ high (low < value where `open_low`)."""
    if not low <= value <= high or (open_low and value == low):
        word = "above" if open_low else "from"
        to = "and at most" if open_low else "to"
        raise Invalid(
            f"`{field}` must be {word} {shown(low)} {to} {shown(high)}, not {shown(value)}.",
            reason="OUT_OF_RANGE",
            field=field,
        )


def shown(number: float) -> str:
    """A number as people write it: 1,000,000 and 0.05, and never a hundred digits."""
    is_whole = abs(number) < 1e15 and float(number).is_integer()
    return f"{number:,.0f}" if is_whole else f"{number:g}"


def safe_name(name: str) -> str:
    """A name as it may stand in a storage key or a file name."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)
