"""Rules that many nouns share."""

import re
from datetime import UTC, datetime

from domain.errors import Invalid
from domain.texts import INVALID_CHARACTERS

NAME_LIMIT = 200
TEXT_LIMIT = 65_536


def validated_name(value: str, field: str, *, limit: int = NAME_LIMIT) -> str:
    """A name without whitespace around it; raises `Invalid` when it is empty or too long."""
    name = value.strip()
    if not name:
        raise Invalid(f"`{field}` must not be empty.", reason="REQUIRED", field=field)
    return validated_text(name, field, limit=limit)


def validated_text(value: str, field: str, *, limit: int = TEXT_LIMIT) -> str:
    """The text; raises `Invalid` when it has a character that cannot be stored, or is too long."""
    if INVALID_CHARACTERS.search(value):
        raise Invalid(f"`{field}` has a character that cannot be stored.", reason="INVALID_TEXT", field=field)
    if len(value) > limit:
        raise Invalid(f"`{field}` may have at most {limit:,} characters.", reason="TOO_LONG", field=field)
    return value


def check_range(value: float, field: str, low: float, high: float, *, open_low: bool = False) -> None:
    """Raise `Invalid` unless low ≤ value ≤ high (low < value where `open_low`)."""
    if not low <= value <= high or (open_low and value == low):
        start, end = ("above", "and at most") if open_low else ("from", "to")
        raise Invalid(
            f"`{field}` must be {start} {format_number(low)} {end} {format_number(high)}, not {format_number(value)}.",
            reason="OUT_OF_RANGE",
            field=field,
        )


def is_storable_time(value: datetime) -> bool:
    """Whether a time is in the years 1 to 9999 in UTC, too: PostgreSQL stores others, and Python cannot read them."""
    try:
        value.astimezone(UTC)
    except OverflowError:
        return False
    return True


def format_number(number: float) -> str:
    """A number for a sentence: 1,000,000 or 0.05, with an exponent when it is very large."""
    is_whole = abs(number) < 1e15 and float(number).is_integer()
    return f"{number:,.0f}" if is_whole else f"{number:g}"


def safe_name(name: str) -> str:
    """A name as part of a storage key or a file name: letters, digits, `.`, `_` and `-`; `_` for the rest."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)
