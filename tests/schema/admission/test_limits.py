"""What an unauthenticated client's document may cost: each attack is refused with a code, by work linear in its size."""

import sys
from collections.abc import Callable
from typing import Any

import pytest
from graphql import GraphQLError, get_introspection_query, parse, print_ast
from graphql.validation.rules import overlapping_fields_can_be_merged as overlapping

from schema.admission._admission import MAX_CACHED_DOCUMENTS, MAX_CACHED_TOKENS, MAX_COMPARISONS, Admission
from schema.admission._weights import INTROSPECTION_COST, MAX_COST
from schema.root import schema
from schema.shared.errors import mask_error
from tests.judges.sdl import IDS_OF_MODELS
from tests.schema.admission.attacks import ATTACKS, IDS, Attack, many, nested

SCHEMA = schema._schema
RATIO = 2.3
"""For twice the size, with a margin."""


@pytest.fixture(scope="module")
def admission() -> Admission:
    """An admission with an empty cache."""
    return Admission(SCHEMA)


def refusals(admission: Admission, document: str, variables: Any = None) -> list[GraphQLError]:
    """The errors of a document."""
    try:
        return admission.admit(document, None, variables).errors
    except GraphQLError as error:
        return [error]


def extensions(error: GraphQLError) -> dict[str, Any]:
    """The extensions of an error."""
    return error.extensions or {}


def steps(work: Callable[[], object]) -> int:
    """The number of function calls, built-in functions included, that `work` makes."""
    count = 0

    def note(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def test_the_overlapping_fields_rule_has_our_budget(
    admission: Admission, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = "{ viewer { id id id } }"
    monkeypatch.setattr(overlapping, "MAX_COMPLEXITY_BUDGET", 1)
    assert [extensions(error)["reason"] for error in refusals(admission, document)] == ["TOO_MANY_OVERLAPS"]
    monkeypatch.undo()
    assert MAX_COMPARISONS == overlapping.MAX_COMPLEXITY_BUDGET
    assert refusals(admission, document) == []


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_an_attack_is_refused_in_time_linear_in_its_size(admission: Admission, attack: Attack) -> None:
    counts = []
    for size in (attack.size, 2 * attack.size):
        document, variables = attack.make(size), attack.variables(size)
        counts.append(steps(lambda: refusals(admission, document, variables)))  # noqa: B023 - it is called at once
    assert counts[1] <= RATIO * counts[0]
    errors = [mask_error(error, "r") for error in refusals(admission, document, variables)]
    assert {extensions(error)["code"] for error in errors} == {attack.code}
    assert extensions(errors[0]).get("reason") == attack.reason


@pytest.mark.parametrize(
    ("most", "document"),
    [
        (30, many("a#: id", "{ viewer { {} } }")),
        (20, many("viewer { id }")),
        (50, many("@include(if: true)", "{ health { version {} } }")),
        (12, lambda size: "{ node" + "{ project" * (size - 1) + "}" * size),
        (250, many('"x"', "{ nodes(ids: [{}]) { id } }")),
        (50, many("fragment F# on Query { __typename }", "{ health { version } } {}")),
        (100, many("...on User { id }", "{ viewer { {} } }")),
        (10, many("query A# { health { version } }", "{}")),
        (65_536, lambda size: f'{{ node(id: "{"x" * size}") {{ id }} }}'),
        (100, lambda size: f"{{ projects(first: {'1' * size}) {{ totalCount }} }}"),
        (2_000, many("f#", "{ viewer { {} } }")),
    ],
)
def test_a_document_exactly_at_a_limit_is_not_refused_by_that_limit(
    admission: Admission, most: int, document: Callable[[int], str]
) -> None:
    overhead = 5 if most == 2_000 else 0  # the tokens around them
    within = refusals(admission, document(most - overhead))
    (above,) = refusals(admission, document(most - overhead + 1))
    assert extensions(above)["limit"] == most
    assert extensions(above)["reason"] not in {extensions(error).get("reason") for error in within}
    assert extensions(above).get("actual", most + 1) == most + 1


def test_variables_are_limited_however_they_are_nested(admission: Admission) -> None:
    for value, reason in (
        (["x"] * 251, "TOO_MANY_ITEMS"),
        ([{"a": [["x"] * 251]}], "TOO_MANY_ITEMS"),
        ({"a": "x" * 65_537}, "TEXT_TOO_LONG"),
        ([10**200], "NUMBER_TOO_LONG"),
    ):
        (error,) = refusals(admission, IDS, {"ids": value})
        assert extensions(error)["reason"] == reason
    assert refusals(admission, IDS, {"ids": ["x" * 65_536] * 250}) == []


COSTS = [
    ("{ __typename }", {}, 0),
    ("{ viewer { id email } }", {}, 1),
    ("{ projects { totalCount pageInfo { endCursor } } }", {}, 2),
    ("{ projects { nodes { id } } }", {}, 1 + 20),
    ("{ projects(first: 100) { nodes { id } pageInfo { endCursor } } }", {}, 1 + 100 + 1),
    ("{ projects(last: 7) { edges { cursor node { id } } } }", {}, 1 + 7 * 2),
    ("{ projects(first: 1000000) { nodes { id } } }", {}, 1 + 100),
    ("{ projects(first: -1) { nodes { id } } }", {}, 1),
    ("{ projects(first: null, last: 3) { nodes { id } } }", {}, 1 + 3),
    ("{ projects(first: 10) { nodes { datasets(first: 5) { nodes { id } } } } }", {}, 1 + 10 * (1 + 1 + 5)),
    ("query($n: Int) { projects(first: $n) { nodes { id } } }", {"n": 40}, 1 + 40),
    ("query($n: Int) { projects(first: $n) { nodes { id } } }", {}, 1 + 20),
    ("query($n: Int) { projects(first: $n) { nodes { id } } }", {"n": None}, 1 + 20),
    ("query($n: Int = 3) { projects(first: $n) { nodes { id } } }", {}, 1 + 3),
    ("query($n: Int = 3) { projects(first: $n) { nodes { id } } }", {"n": 10**90}, 1 + 100),
    (IDS, {"ids": ["a", "b", "c"]}, 3),
    ('{ nodes(ids: ["a", "b"]) { id } }', {}, 2),
    ('{ nodes(ids: "a") { id } }', {}, 1),
    (
        '{ dataset(id: "x") { dataItemsSample(first: 5) fieldNames stats { problems { count } } } }',
        {},
        1 + 5 + 2,
    ),
    ('{ finetune(id: "x") { recentLogs } }', {}, 1 + 100),
    ('{ finetune(id: "x") { recentLogs(lines: 7) } }', {}, 1 + 7),
    ('mutation { deleteProject(input: {id: "x"}) { deletedId userErrors { code } } }', {}, 10 + 1),
    ('subscription { jobEvents(jobId: "x") { cursor } }', {}, 1),
    (
        """query($n: Int) { ...A ...A } fragment A on Query { projects(first: $n) { ...B } }
        fragment B on ProjectConnection { nodes { id } pageInfo { endCursor } }""",
        {"n": 5},
        2 * (1 + 5 + 1),
    ),
]


@pytest.mark.parametrize(("document", "variables", "cost"), COSTS)
def test_the_cost_is_the_number_of_requested_objects(
    admission: Admission, document: str, variables: dict[str, Any], cost: int
) -> None:
    for _ in range(2):  # the second time it is a document that is kept
        assert admission.admit(document, None, variables).cost == cost


def test_an_operation_that_costs_too_much_is_refused_with_its_cost(admission: Admission) -> None:
    document = "query($n: Int) { projects(first: 100) { nodes { datasets(first: $n) { nodes { id } } } } }"
    assert admission.admit(document, None, {"n": 47}).errors == []
    admitted = admission.admit(document, None, {"n": 48})
    (error,) = admitted.errors
    assert admitted.cost == 1 + 100 * (1 + 1 + 48)
    assert extensions(error) == {
        "code": "QUERY_TOO_COMPLEX", "reason": "TOO_EXPENSIVE", "limit": MAX_COST, "actual": admitted.cost,
    }  # fmt: skip
    assert "smaller pages" in error.message


def test_fragments_that_double_are_evaluated_once_each(admission: Admission) -> None:
    """Expanded, thirty of them would be evaluated 2^30 times."""
    spreads = " ".join(
        f"fragment F{number} on Query {{ ...F{number + 1} ...F{number + 1} }}" for number in range(30)
    )
    leaf = "fragment F30 on Query { projects(first: $n) { nodes { id } } }"
    admitted = admission.admit(f"query($n: Int) {{ ...F0 }} {spreads} {leaf}", None, {"n": 5})
    assert admitted.cost == 1_000_000
    assert extensions(admitted.errors[0])["reason"] == "TOO_MANY_ROOT_FIELDS"


def test_of_several_operations_the_named_one_is_costed(admission: Admission) -> None:
    document = "query A { viewer { id } } query B { projects { nodes { id } } }"
    assert admission.admit(document, "A", {}).cost == 1
    assert admission.admit(document, "B", {}).cost == 21
    assert admission.admit(document, None, {}).errors[0].message.startswith("Must provide operation name")


@pytest.mark.parametrize("repeated", [1, 2])
def test_the_whole_schema_may_be_introspected_once_in_an_operation(
    admission: Admission, repeated: int
) -> None:
    every = get_introspection_query(
        descriptions=True,
        specified_by_url=True,
        directive_is_repeatable=True,
        schema_description=True,
        input_value_deprecation=True,
        one_of=True,
    )
    operation, *fragments = parse(every).definitions
    (field,) = operation.selection_set.selections  # type: ignore[attr-defined]
    fields = " ".join(f"s{number}: {print_ast(field)}" for number in range(repeated))
    document = f"{{ {fields} }} {' '.join(map(print_ast, fragments))}"
    admitted = admission.admit(document, None, {})
    assert admitted.cost == INTROSPECTION_COST * repeated
    assert [extensions(error)["reason"] for error in admitted.errors] == ["TOO_EXPENSIVE"] * (repeated - 1)


def test_every_list_of_nodes_has_a_size() -> None:
    """A list without a size costs no more than its object, so its items must be stored in the object's own row."""
    for name, fields in schema._admission._analysis._weights.items():
        for field, weight in fields.items():
            kind = SCHEMA.type_map[weight.type] if weight.type else None
            is_list = "[" in str(getattr(SCHEMA.type_map[name], "fields", {}).get(field, ""))
            is_read = "id" in getattr(kind, "fields", {}) and weight.type not in IDS_OF_MODELS
            assert not (is_list and is_read) or weight.is_row or weight.size_arguments, (
                name,
                field,
            )


def test_valid_documents_are_cached_and_refused_ones_are_not() -> None:
    admission = Admission(SCHEMA)
    first = steps(lambda: refusals(admission, "{ viewer { id } }"))
    assert steps(lambda: refusals(admission, "{ viewer { id } }")) < first / 20
    for document in ("{ viewer { nothing } }", nested(20), "{"):
        assert refusals(admission, document)
    assert len(admission._documents._documents) == 1


def test_the_cache_is_limited_in_documents_and_in_tokens() -> None:
    admission = Admission(SCHEMA)
    for number in range(MAX_CACHED_DOCUMENTS + 10):
        assert refusals(admission, f"query A{number} {{ health {{ version }} }}") == []
    assert len(admission._documents._documents) == MAX_CACHED_DOCUMENTS
    for number in range(MAX_CACHED_TOKENS // 1_400 + 5):
        assert refusals(admission, "#\n" * 1_400 + f"query A{number} {{ __typename }}") == []
    assert admission._documents._tokens <= MAX_CACHED_TOKENS
