"""The plan of a query is cached for its document and its variables, and used with no others."""

from typing import Any

import pytest
from graphql import parse
from httpx import AsyncClient

from schema.admission._admission import MAX_CACHED_VARIABLES, Admission, PreparedDocument
from schema.root import schema
from tests.clients import Api

pytestmark = pytest.mark.anyio

DOCUMENT = """query Some($first: Int, $with: Boolean = false, $name: String) {
  projects(first: $first, filter: { nameContains: $name }) { nodes { id name @include(if: $with) } } }
query All { projects { nodes { name } } }
mutation Make { createProject(input: { name: "new" }) { project { id } } }"""


@pytest.fixture
def prepared() -> PreparedDocument:
    """The cached document."""
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
def test_different_variables_have_different_plans(
    prepared: PreparedDocument, one: dict[str, Any], other: dict[str, Any]
) -> None:
    plan = prepared.plans_for("Some", one)
    plan["found"] = True
    assert prepared.plans_for("Some", {**one}) is plan
    assert prepared.plans_for("Some", other) == {}


def test_undeclared_variables_do_not_change_the_plan(prepared: PreparedDocument) -> None:
    plan = prepared.plans_for("Some", {"first": 1})
    assert prepared.plans_for("Some", {"first": 1, "other": "x" * 10 * MAX_CACHED_VARIABLES}) is plan


def test_only_the_last_plan_is_cached(prepared: PreparedDocument) -> None:
    plans = [prepared.plans_for("Some", {"first": first}) for first in range(1, 50)]
    assert len(prepared.plans) == 1
    assert prepared.plans_for("Some", {"first": 49}) is plans[-1]


@pytest.mark.parametrize("value", [["a"], {"a": 1}, "x" * MAX_CACHED_VARIABLES])
def test_plans_of_long_or_nested_variables_are_not_cached(prepared: PreparedDocument, value: Any) -> None:
    kept = list(prepared.plans)
    assert prepared.plans_for("Some", {"name": value}) is not prepared.plans_for("Some", {"name": value})
    assert list(prepared.plans) == kept


def test_each_query_of_a_document_has_its_own_plans_and_a_mutation_has_none(
    prepared: PreparedDocument,
) -> None:
    plan = prepared.plans_for("All", {})
    plan["found"] = True
    assert prepared.plans_for("Some", {}) == {}
    assert prepared.plans_for("Make", {}) is not prepared.plans_for("Make", {})
    assert prepared.plans_for("None", {}) == {}


def test_the_prepared_document_is_the_parsed_one(prepared: PreparedDocument) -> None:
    assert prepared.document == parse(DOCUMENT)


async def test_each_user_gets_their_own_data_for_the_same_document(api: Api, anonymous: AsyncClient) -> None:
    query = DOCUMENT.partition("query All")[0]
    users = {"mine": api, "theirs": api.other}
    for name, viewer in users.items():
        for number in range(2):
            await viewer.mutate("createProject", "project { id }", name=f"{name} {number}")
    for _ in range(2):
        for name, viewer in users.items():
            for first in (1, 2):
                found = (await viewer.gql(query, first=first, **{"with": True}))["projects"]["nodes"]
                assert [node["name"] for node in found] == [f"{name} 1", f"{name} 0"][:first]
        signed_out = await anonymous.post("/graphql", json={"query": query, "variables": {"first": 1}})
        assert signed_out.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
