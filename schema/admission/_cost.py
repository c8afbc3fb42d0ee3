"""Costs that may depend on variables: an expression is built once for a document, and evaluated for each request."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from schema.admission._limits import MAX_REPORTED

Variables = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Multiplier:
    """The number of objects that a field requests: its largest size argument, at most `maximum`, or `default` without any.

    `literal` is the largest argument that stands in the document, `variables` are the names of the others.
    """

    default: float
    maximum: int = 1
    literal: float | None = None
    variables: tuple[str, ...] = ()

    def value(self, variables: Variables) -> float:
        """The number of objects with these values of the variables."""
        sizes = [
            size for name in self.variables if (size := _requested_size(variables.get(name))) is not None
        ]
        if self.literal is not None:
            sizes.append(self.literal)
        return min(max(0, *sizes), self.maximum) if sizes else self.default


def _requested_size(value: Any) -> float | None:
    """The size that a variable requests: a number itself, a list its length; another value is a list of one."""
    if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)):
        return value
    return len(value) if isinstance(value, list) else 1


ONE = Multiplier(1)


class CostExpression:
    """A sum of costs: a constant, and terms that depend on variables.

    The expression of a fragment is one object wherever the fragment is spread, so an expression is no longer than the
    document, whatever its value is.
    """

    __slots__ = ("constant", "terms")

    def __init__(self, constant: float = 0) -> None:
        self.constant = constant
        self.terms: list[tuple[Multiplier, CostExpression]] = []

    def add(self, multiplier: Multiplier, other: "CostExpression") -> None:
        """Add the product of a multiplier and another expression."""
        if other.terms or multiplier.variables:
            self.terms.append((multiplier, other))
        else:
            self.constant = min(self.constant + multiplier.value({}) * other.constant, MAX_REPORTED)

    def value(self, variables: Variables, evaluated: dict[int, float]) -> float:
        """The cost; `evaluated` has the values of expressions by their identity, so that each is evaluated once."""
        if not self.terms:
            return self.constant
        if id(self) not in evaluated:
            terms = sum(
                multiplier.value(variables) * expression.value(variables, evaluated)
                for multiplier, expression in self.terms
            )
            evaluated[id(self)] = min(self.constant + terms, MAX_REPORTED)
        return evaluated[id(self)]
