"""Documents that attack a GraphQL server, each of any size."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Attack:
    """A document of any size, and the expected error; it is tried with `size` and with twice that."""

    make: Callable[[int], str]
    size: int
    reason: str | None
    code: str = "QUERY_TOO_COMPLEX"
    variables: Callable[[int], Mapping[str, Any]] = field(default=lambda _size: {})


def nested(size: int) -> str:
    """Objects in objects."""
    return "{ node" * size + "}" * size


def inlined(size: int) -> str:
    """Fragments in fragments, without a field between them."""
    return "{ viewer { " + "... { " * size + "id" + " }" * (size + 2)


def doubled(size: int, on: str = "Query", inner: str = "health { version }", outer: str = "{} {}") -> str:
    """Fragments that each spread the next one twice: expanded, they have 2^size fields."""
    spreads = [
        f"fragment F{number} on {on} {{ {outer.format(*[f'...F{number + 1}'] * 2)} }}"
        for number in range(size)
    ]
    start = {"Query": "...F0", "User": "viewer { ...F0 }"}.get(on, 'node(id: "x") { ...F0 }')
    return " ".join([f"{{ {start} }}", *spreads, f"fragment F{size} on {on} {{ {inner} }}"])


def circle(size: int) -> str:
    """A cycle of fragments."""
    links = (f"fragment F{number} on Query {{ ...F{(number + 1) % size} }}" for number in range(size))
    return " ".join(["{ ...F0 }", *links])


def lists(size: int) -> str:
    """Literals of lists in lists, three in each, eight deep."""
    value = "1"
    for _ in range(8):
        value = f"[{value} {value} {value}]"
    return f"{{ nodes(ids: [{value * size}]) {{ id }} }}"


def pages(size: int) -> str:
    """Pages in pages, three rows in each."""
    inner = "id"
    for _ in range(size):
        inner = f"datasets(first: 3) {{ nodes {{ project {{ {inner} }} }} }}"
    return f'{{ node(id: "x") {{ ... on Project {{ {inner} }} }} }}'


def overlapping(size: int) -> str:
    """One field repeatedly, with an argument that is to be compared."""
    return f'{{ node(id: "x") {{ ... on Finetune {{ {"recentLogs(lines: 1) " * size} }} }} }}'


def overlapping_fragments(size: int) -> str:
    """Fragments with the same fields, all spread in one place."""
    made = (f"fragment F{number} on User {{ id email name createdAt }}" for number in range(size))
    return " ".join([f"{{ viewer {{ {' '.join(f'...F{number}' for number in range(size))} }} }}", *made])


def introspected(size: int) -> str:
    """The whole schema, over and over."""
    whole = "{ types { fields { args { type { name } } type { name } } } }"
    return "{ " + " ".join(f"s{number}: __schema {whole}" for number in range(size)) + " }"


def many(text: str, around: str = "{ {} }") -> Callable[[int], str]:
    """A text repeated, with `#` replaced by the number of the repetition."""
    return lambda size: around.replace(
        "{}", " ".join(text.replace("#", str(number)) for number in range(size))
    )


IDS = "query($ids: [ID!]!) { nodes(ids: $ids) { id } }"
ONE = "query($id: ID!) { node(id: $id) { id } }"
TOKENS, INPUT = "TOO_MANY_TOKENS", "BAD_USER_INPUT"
DEEPER = "datasets(first: 1) {{ nodes {{ project {{ {} {} }} }} }}"
ATTACKS: Mapping[str, Attack] = {
    "nesting 1,500": Attack(nested, 750, "TOO_DEEP"),
    "nesting 60": Attack(nested, 30, "TOO_DEEP"),
    "nesting 180": Attack(nested, 90, "TOO_DEEP"),
    "100 inline fragments in each other": Attack(inlined, 50, "TOO_DEEP"),
    "nested lists 3^9": Attack(lists, 2, TOKENS),
    "nested pages 3^9": Attack(pages, 4, "TOO_DEEP"),
    "fragment doubling, n = 30": Attack(doubled, 15, "TOO_MANY_ROOT_FIELDS"),
    "fragment doubling below a field": Attack(
        lambda size: doubled(size, "User", "id"), 15, "TOO_MANY_FIELDS"
    ),
    "fragment doubling of aliases": Attack(
        lambda size: doubled(size, "User", "a: id"), 15, "TOO_MANY_ALIASES"
    ),
    "fragment doubling with nested pages": Attack(
        lambda size: doubled(size, "Project", "id", DEEPER), 15, "TOO_DEEP"
    ),
    "circular fragments": Attack(circle, 20, None, INPUT),
    "unknown fragments": Attack(many("...F#"), 40, None, INPUT),
    "2,000 aliases": Attack(many("a#: health { version }"), 1_000, TOKENS),
    "60 aliases": Attack(many("a#: id", "{ viewer { {} } }"), 31, "TOO_MANY_ALIASES"),
    "60 root fields": Attack(many("viewer { id }"), 30, "TOO_MANY_ROOT_FIELDS"),
    "5,000 duplicated fields": Attack(many("id", "{ viewer { {} } }"), 2_500, TOKENS),
    "1,800 duplicated fields": Attack(many("id", "{ viewer { {} } }"), 900, "TOO_MANY_OVERLAPS"),
    "2,000 directives": Attack(many("@include(if: true)", "{ viewer { id {} } }"), 1_000, TOKENS),
    "120 directives": Attack(many("@d#", "{ viewer { id {} } }"), 60, "TOO_MANY_DIRECTIVES"),
    "300 overlapping fields with arguments": Attack(overlapping, 150, "TOO_MANY_OVERLAPS"),
    "44 fragments of the same fields": Attack(overlapping_fragments, 22, "TOO_MANY_OVERLAPS"),
    "120 fragments": Attack(overlapping_fragments, 60, "TOO_MANY_FRAGMENTS"),
    "200 inline fragments": Attack(many("... on User { id }", "{ viewer { {} } }"), 120, "TOO_MANY_SPREADS"),
    "60 operations": Attack(many("query A# { health { version } }", "{}"), 30, "TOO_MANY_OPERATIONS"),
    "20 introspections": Attack(introspected, 10, "TOO_EXPENSIVE"),
    "introspection of fields of fields": Attack(
        lambda size: "{ __schema { types " + "{ fields { type " * size + "{ name }" + " } }" * size + " } }",
        3,
        None,
        INPUT,
    ),
    "a 6,000-digit Int": Attack(
        lambda size: f"{{ projects(first: {'9' * size}) {{ totalCount }} }}", 3_000, "NUMBER_TOO_LONG", INPUT
    ),
    "a list of 600": Attack(many('"x"', "{ nodes(ids: [{}]) { id } }"), 300, "TOO_MANY_ITEMS", INPUT),
    "a list of 100,000 in a variable": Attack(
        lambda _: IDS, 50_000, "TOO_MANY_ITEMS", INPUT, lambda size: {"ids": ["x"] * size}
    ),
    "a text of 90,000": Attack(
        lambda size: f'{{ node(id: "{"x" * size}") {{ id }} }}', 45_000, "TEXT_TOO_LONG", INPUT
    ),
    "a text of 200,000 in a variable": Attack(
        lambda _: ONE, 100_000, "TEXT_TOO_LONG", INPUT, lambda size: {"id": "x" * size}
    ),
    "a document of 250,000 blanks": Attack(
        many(" ", "{ {} health { version } }"), 125_000, "DOCUMENT_TOO_LONG"
    ),
    "40,000 lines": Attack(many("\n", "{ health {} { nothing } }"), 20_000, "TOO_MANY_LINES"),
    "8,000 comments": Attack(lambda size: "#\n" * size + "{ health { version } }", 4_000, TOKENS),
}
