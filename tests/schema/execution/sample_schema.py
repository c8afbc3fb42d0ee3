"""A schema with a field of every kind, and values for it, some of which do not fit."""

import asyncio
from collections.abc import AsyncIterator, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum, StrEnum
from random import Random
from typing import Annotated, Any, Generic, NewType, TypeVar

import strawberry
from graphql import GraphQLSchema, Undefined
from strawberry.schema.config import StrawberryConfig
from strawberry.types.scalar import ScalarDefinition

from schema.execution import HasOperationState, OperationState
from schema.execution._bound_resolver import ONLY_ID
from schema.shared.nodes import load

T = TypeVar("T")
Info = strawberry.Info["Values", None]


@strawberry.enum
class Colour(Enum):
    """An enum whose values are not its names."""

    RED = "r"
    GREEN = "g"


@strawberry.enum
class Size(StrEnum):
    """An enum that is a string, one value of which is another enum's too."""

    SMALL = "s"
    RED = "r"


class Strange(StrEnum):
    """An enum that the schema does not have."""

    RED = "RED"
    S = "s"


class Later:
    """An awaitable that can be awaited more than once."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __await__(self) -> Generator[Any, None, Any]:
        """The value, or its error."""
        if isinstance(self.value, Exception):
            raise self.value
        yield from ()
        return self.value


class Many:
    """An iterable that is no list."""

    def __init__(self, values: list[Any]) -> None:
        self.values = values

    def __iter__(self) -> Iterator[Any]:
        return iter(self.values)


class Stream(Many):
    """An asynchronous iterable."""

    def __iter__(self) -> Any:
        raise AssertionError("it is asynchronous")

    async def __aiter__(self) -> AsyncIterator[Any]:
        for value in self.values:
            yield value


Odd = NewType("Odd", int)


def _odd(value: int) -> int | None:
    if value % 2 == 0:
        raise ValueError(f"{value} is not odd.")
    return None if value == 13 else value


SCALARS: dict[object, ScalarDefinition] = {
    Odd: strawberry.scalar(name="Odd", serialize=_odd, parse_value=int),
}


@strawberry.interface
class Named:
    """What has a name."""

    name: str


@strawberry.type
class Box(Generic[T]):
    """A generic type."""

    inside: T
    label: str | None


@strawberry.type
class Leaf(Named):
    """Scalars of every kind, and lists of them."""

    maybe: str | None
    id: strawberry.ID
    whole: int
    number: float | None
    truth: bool | None
    colour: Colour
    size: Size | None
    odd: Odd | None
    when: datetime | None
    grid: list[list[int]]
    words: list[str | None] | None
    anything: strawberry.scalars.JSON | None

    @strawberry.field
    def shout(self, times: int = 1) -> str:
        """A resolver with an argument."""
        return str(self.name).upper() * times

    @strawberry.field
    async def soon(self) -> str | None:
        """A resolver that takes a while."""
        return self.maybe


@strawberry.type
class Choosy(Named):
    """A type with `is_type_of`."""

    whole: int

    @classmethod
    def is_type_of(cls, value: Any, _info: Any) -> bool:
        """Whether `whole` is even."""
        return isinstance(value, Choosy) and value.whole % 2 == 0


async def found(values: "Values", keys: list[str]) -> Mapping[str, Any]:
    """Leaves by key; `none` has none, and with `bad` the whole call raises."""
    await asyncio.sleep(0)
    if "bad" in keys:
        raise LookupError("a bad key")
    return {key: values.leaves[ord(key[-1]) % 3] for key in keys if key != "none"}


async def found_many(values: "Values", keys: list[str]) -> Mapping[str, list[Any]]:
    """Lists of one leaf by key, found as in `found`."""
    return {key: [leaf] for key, leaf in (await found(values, keys)).items()}


@strawberry.type
class Branch(Named):
    """Objects in objects."""

    id: strawberry.ID
    leaf: Leaf
    maybe_leaf: Leaf | None
    leaves: list[Leaf]
    maybe_leaves: list[Leaf | None] | None
    branch: "Branch | None"
    branches: list["Branch"] | None
    box: Box[Leaf] | None
    boxes: list[Box[int]] | None
    named: Named | None
    choosy: Choosy | None
    thing: Annotated["Leaf | Branch | Choosy", strawberry.union("Thing")] | None
    things: list[Annotated["Leaf | Branch | Choosy", strawberry.union("Thing")]] | None

    @strawberry.field
    async def later_leaves(self, first: int | None = None) -> list[Leaf]:
        """A resolver with an argument that takes a while."""
        return self.leaves[:first] if isinstance(self.leaves, list) else self.leaves

    @strawberry.field
    def same(self) -> "Branch":
        """A resolver that gives an object."""
        return self

    @strawberry.field
    def met(self, info: Info, key: str = "a") -> Leaf | None:
        """A leaf from a DataLoader."""
        values: Any = info
        return load(values, found, key)  # type: ignore[no-any-return]

    @strawberry.field(metadata=ONLY_ID)  # type: ignore[untyped-decorator]  # for the class is not complete yet
    def own(self, info: Info) -> list[Leaf]:
        """Leaves from a DataLoader, by the id of the branch."""
        values: Any = info
        return load(values, found_many, self.id).then(list, default=[])  # type: ignore[no-any-return]

    @strawberry.field
    async def fails(self) -> int:
        """A resolver that fails."""
        raise LookupError(f"nothing at {self.name}")


@strawberry.type
class Query:
    """Queries of leaves and branches."""

    @strawberry.field
    def here(self, info: Info) -> Branch:
        """The root branch."""
        return info.context.root

    @strawberry.field
    async def there(self, info: Info) -> Branch | None:
        """The root branch, asynchronously."""
        return info.context.root

    @strawberry.field
    async def listed(self, info: Info) -> list[Leaf]:
        """Leaves."""
        return info.context.leaves


@strawberry.type
class Mutation:
    """Mutations, which run one after the other."""

    @strawberry.mutation
    async def note(self, info: Info, text: str) -> Branch:
        """Append a text to the notes."""
        info.context.notes.append(text)
        return info.context.root

    @strawberry.mutation
    def note_now(self, info: Info, text: str) -> int | None:
        """Append a text to the notes, without awaiting."""
        info.context.notes.append(text)
        if text == "b":
            raise ValueError(text)
        return len(info.context.notes)


@strawberry.type
class Subscription:
    """A subscription to leaves."""

    @strawberry.subscription
    async def leaves(self, info: Info) -> AsyncIterator[Leaf]:
        """Each of the leaves."""
        for leaf in info.context.leaves:
            yield leaf


def kinds() -> GraphQLSchema:
    """The schema."""
    types = [Leaf, Branch, Choosy]
    config = StrawberryConfig(scalar_map=SCALARS)
    return strawberry.Schema(Query, Mutation, Subscription, types=types, config=config)._schema


GOOD: Mapping[str, list[Any]] = {
    "name": ["a name", ""],
    "maybe": ["a text", None],
    "id": ["id_1"],
    "whole": [1, 2, -(2**31)],
    "number": [1.5, -0.0, 1e300],
    "truth": [True, False],
    "colour": list(Colour),
    "size": list(Size),
    "odd": [1, 3],
    "when": [datetime(2026, 1, 1, tzinfo=UTC)],
    "grid": [[], [[1, 2], []], ([3],)],
    "words": [["a", None], ("b",), None],
    "anything": [{"a": [1]}, [None], 7],
    "label": ["a label"],
}
ERROR = ValueError("a value that is an error")
BAD: list[Any] = [
    None, Undefined, ERROR, Later("x"), Later(3), Later(None), Later(ERROR), 2**31, 3, 4, 13, "text", float("nan"),
    True, b"bytes", {}, [], [[2**31], [1]], [Later(1), ERROR], Many(["a", "b"]), Many([[1], ERROR]), object(),
    Stream(["a", None]), Stream([[1]]), Strange.RED, Strange.S, "RED", "r", "g", Size.RED, Colour.RED,
]  # fmt: skip


NEAR: Mapping[str, list[Any]] = {
    "whole": [2**31, True, 1.0, Later(1)],
    "number": [float("nan"), float("inf"), 1, True],
    "truth": [1, 0.0],
    "maybe": [Size.SMALL, 1, Later("x"), ERROR],
    "colour": ["RED", "r", Size.RED, Strange.S],
    "size": ["s", Strange.S, Colour.RED, Later(Size.SMALL)],
    "odd": [4, 13, True, Later(1), ERROR],
    "grid": [Many([[1], [2]]), [Later([1])], [[1], ERROR], [{"a": 1}]],
    "words": [Many(["a"]), Stream(["a", ERROR]), ["a", Later("b")], "text", {"a": "b"}, [Undefined]],
    "anything": [Later(1), ERROR, Undefined, Many([1])],
}
"""Values that almost fit."""


class Broken(Leaf):
    """A leaf of a class that the schema does not know, whose name cannot be read."""

    def __getattribute__(self, name: str) -> Any:
        """Raises for the name."""
        if name == "name":
            raise OSError("unreadable")
        return super().__getattribute__(name)


@dataclass
class Values(HasOperationState):
    """The data that queries read: the same for every query on it."""

    random: Random
    badness: float
    notes: list[str] = field(default_factory=list)
    operation: OperationState = field(default_factory=OperationState)
    leaves: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.leaves = [self.leaf() for _ in range(3)]
        self.root = self.branch(3)

    def _is_bad(self) -> bool:
        return self.random.random() < self.badness

    def _value(self, name: str) -> Any:
        if not self._is_bad():
            return self.random.choice(GOOD[name])
        return self.random.choice(self.random.choice([BAD, NEAR.get(name, BAD)]))

    def _or_bad(self, value: Any) -> Any:
        if not self._is_bad():
            return value
        return self.random.choice(self.random.choice([BAD, self.strange(value)]))

    def strange(self, value: Any) -> list[Any]:
        """Values of other classes and shapes where an object or a list of objects belongs."""
        wrapped = [Later(value), Many([value]), Stream([value]), (value,), [value], [Later(value), None]]
        cast = [strawberry.cast(Choosy, self.leaf()), strawberry.cast(Leaf, self._choosy())]
        return [*wrapped, *cast, self._choosy(), Box(inside=1, label="b"), Broken(**vars(self.leaf()))]

    def leaf(self) -> Leaf:
        """A leaf."""
        kind = Broken if self._is_bad() else Leaf
        return kind(**{name: self._value(name) for name in GOOD if name != "label"})

    def _choosy(self) -> Choosy:
        return Choosy(name=self._value("name"), whole=self.random.choice([1, 2]))

    def _leaves(self) -> list[Any]:
        return [self._or_bad(self.leaf()) for _ in range(self.random.randrange(4))]

    def _box(self, inside: Any) -> Any:
        return self._or_bad(Box(inside=self._or_bad(inside), label=self._value("label")))

    def branch(self, depth: int) -> Branch:
        """A branch, with further branches below it down to this depth."""
        below = [self.branch(depth - 1) for _ in range(2)] if depth else []
        either: list[Any] = [self.leaf(), *below]
        return Branch(
            name=self._value("name"),
            id=strawberry.ID(self.random.choice(["a", "b", "none", *["bad"] * self._is_bad()])),
            leaf=self._or_bad(self.leaf()),
            maybe_leaf=self._or_bad(None),
            leaves=self._or_bad(self._leaves()),
            maybe_leaves=self._or_bad([None, *self._leaves()]),
            branch=self._or_bad(below[0] if below else None),
            branches=self._or_bad(below),
            box=self._box(self.leaf()),
            boxes=[self._box(self._value("whole")) for _ in range(2)],
            named=self._or_bad(self.random.choice([*either, self._choosy()])),
            choosy=self._or_bad(self._choosy()),
            thing=self._or_bad(self.random.choice(either)),
            things=self._or_bad([self._or_bad(value) for value in either]),
        )
