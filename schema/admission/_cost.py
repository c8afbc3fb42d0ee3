"""A cost that may depend on variables: worked out once for a document, then filled in for each request."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from schema.admission._limits import MAX_REPORTED

Variables = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Multiplier:
    """How many a field asks for: the most that its arguments say, `default` where they say nothing."""

    default: float
    cap: int = 1
    known: float | None = None
    variables: tuple[str, ...] = ()

    def value(self, given: Variables) -> float:
        """The size, for these values of variables."""
        sizes = [it for name in self.variables if (it := _size(given.get(name))) is not None]
        if self.known is not None:
            sizes.append(self.known)
        return min(max(0, *sizes), self.cap) if sizes else self.default


def _size(value: Any) -> float | None:
    """What a variable says: a number itself, a list its length; another value is a list of one."""
    if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)):
        return value
    return len(value) if isinstance(value, list) else 1


ONE = Multiplier(1)


class CostExpression:
    """A cost: what is known already, and what depends on variables.

    Fragments share their sums, so a sum is as long as what was written, whatever it comes to.
    """

    __slots__ = ("known", "parts")

    def __init__(self, known: float = 0) -> None:
        self.known = known
        self.parts: list[tuple[Multiplier, CostExpression]] = []

    def add(self, size: Multiplier, other: "CostExpression") -> None:
        """Add another sum, so many times."""
        if other.parts or size.variables:
            self.parts.append((size, other))
        else:
            self.known = min(self.known + size.value({}) * other.known, MAX_REPORTED)

    def value(self, given: Variables, seen: dict[int, float]) -> float:
        """What it comes to; `seen` has what sums came to already, so that each is evaluated once."""
        if not self.parts:
            return self.known
        if id(self) not in seen:
            parts = sum(size.value(given) * it.value(given, seen) for size, it in self.parts)
            seen[id(self)] = min(self.known + parts, MAX_REPORTED)
        return seen[id(self)]
