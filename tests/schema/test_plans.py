"""What is found about a query's fields is kept for who asks the same with the same variables, and for nobody else."""

from typing import Any

import pytest
from graphql import parse
from httpx import AsyncClient

from schema.admission._admission import MAX_VARIABLES_CHARS, Admission, PreparedDocument
from schema.root import schema
from tests.clients import Api

pytestmark = pytest.mark.anyio

DOCUMENT = """query Some($first: Int, $with: Boolean = false, $name: String) {
  projects(first: $first, filter: { nameContains: $name }) { nodes { id name @include(if: $with) } } }
query All { projects { nodes { name } } }
mutation Make { createProject(input: { name: "new" }) { project { id } } }"""


@pytest.fixture
def prepared() -> PreparedDocument:
    """The document, as it is kept."""
    admission = Admission(schema._schema)
    for _ in range(2):
        assert admission.admit(DOCUMENT, "Some", {}).errors == []
    found = admission._documents.get(DOCUMENT)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"first": 1}, {"first": 2}),
        ({"first": 1}, {"first": True}),
        ({"first": 1}, {"first": "1"}),
        ({"first": 1}, {"first": 1.0}),
        ({"first": None}, {}),
        ({"with": False}, {"with": None}),
        ({"first": 1}, {"first": 1, "with": True}),
        ({"name": "a"}, {"name": "b"}),
    ],
)
def test_other_variables_have_a_plan_of_their_own(
    prepared: PreparedDocument, one: dict[str, Any], other: dict[str, Any]
) -> None:
    plan = prepared.plans_of("Some", one)
    plan["found"] = True
    assert prepared.plans_of("Some", {**one}) is plan
    assert prepared.plans_of("Some", other) == {}


def test_what_is_not_declared_makes_no_difference(prepared: PreparedDocument) -> None:
    plan = prepared.plans_of("Some", {"first": 1})
    assert prepared.plans_of("Some", {"first": 1, "other": "x" * 10 * MAX_VARIABLES_CHARS}) is plan


def test_only_the_last_plan_is_kept(prepared: PreparedDocument) -> None:
    plans = [prepared.plans_of("Some", {"first": it}) for it in range(1, 50)]
    assert len(prepared.plans) == 1
    assert prepared.plans_of("Some", {"first": 49}) is plans[-1]


@pytest.mark.parametrize("value", [["a"], {"a": 1}, "x" * MAX_VARIABLES_CHARS])
def test_what_is_long_or_large_is_not_kept(prepared: PreparedDocument, value: Any) -> None:
    kept = list(prepared.plans)
    assert prepared.plans_of("Some", {"name": value}) is not prepared.plans_of("Some", {"name": value})
    assert list(prepared.plans) == kept


def test_operations_of_a_document_have_plans_of_their_own_and_mutations_none(
    prepared: PreparedDocument,
) -> None:
    plan = prepared.plans_of("All", {})
    plan["found"] = True
    assert prepared.plans_of("Some", {}) == {}
    assert prepared.plans_of("Make", {}) is not prepared.plans_of("Make", {})
    assert prepared.plans_of("None", {}) == {}


def test_the_document_of_the_tests_is_one(prepared: PreparedDocument) -> None:
    assert prepared.document == parse(DOCUMENT)


async def test_each_has_their_own_answer_of_the_same_document(api: Api, anonymous: AsyncClient) -> None:
    query = DOCUMENT.partition("query All")[0]
    users = {"mine": api, "theirs": api.other}
    for name, who in users.items():
        for number in range(2):
            await who.mutate("createProject", "project { id }", name=f"{name} {number}")
    for _ in range(2):
        for name, who in users.items():
            for first in (1, 2):
                found = (await who.gql(query, first=first, **{"with": True}))["projects"]["nodes"]
                assert [it["name"] for it in found] == [f"{name} 1", f"{name} 0"][:first]
        signed_out = await anonymous.post("/graphql", json={"query": query, "variables": {"first": 1}})
        assert signed_out.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
