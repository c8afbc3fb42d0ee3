"""Tenancy over GraphQL: no field takes or shows the objects of another user. A new field needs a case here."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import pytest
from graphql import GraphQLField
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.ids import noun_of
from domain.services import Services
from tests.clients import Api
from tests.introspection import (
    BY_ID,
    LISTS,
    MUTATIONS,
    NODES,
    QUERIES,
    SUBSCRIPTIONS,
    all_of,
    filtered,
    id_places,
    ids_in,
    mutation,
    selected,
    takes,
)
from tests.sample_data import (
    SHARED,
    IdOf,
    SampleData,
    create_sample_data,
    foreign_inputs,
    id_places_of,
    snapshot,
    unknown_ids,
    with_ids_of,
    without_ids,
)

pytestmark = pytest.mark.anyio

OTHERS = {"viewer", "ticket", "health", "node", "nodes"}
"""Queries with tests of their own: `ticket` with the REST routes; anyone may query `health`."""
OPEN = {"register", "login"}
"""Mutations without a signed-in user."""

PROJECT, DOCUMENT, DATASET, ITEM = IdOf("Project"), IdOf("Document"), IdOf("Dataset"), IdOf("DatasetItem")
FINETUNE, DEPLOYMENT = IdOf("Finetune"), IdOf("Deployment")
Input = dict[str, Any]
SOME_ITEMS: list[Input] = [
    {"itemIds": [ITEM, IdOf("DatasetItem", slot=2)]},
    {"datasetId": DATASET, "filter": {}},
]
INPUTS: dict[str, list[Input]] = {
    "createProject": [{"name": "new"}],
    "createApiKey": [{"name": "new"}, {"name": "new", "deploymentId": DEPLOYMENT}],
    "updateProject": [
        {"id": PROJECT, "name": "new"},
        {"id": PROJECT, "trainingDatasetId": DATASET},
        {"id": PROJECT, "finetuneId": FINETUNE, "baseModelId": IdOf("BaseModel")},
    ],
    "initiateUpload": [
        {"projectId": PROJECT, "fileName": "t.csv", "fileType": "text/csv", "kind": "DATASET_UPLOAD"}
    ],
    "completeUpload": [{"documentId": DOCUMENT, "s3Key": IdOf("Document", text="documents/{}/table.csv")}],
    "createDataset": [
        {"projectId": PROJECT, "inputField": "q", "outputField": "a", "fieldNames": ["q", "a"]}
    ],
    "updateDataset": [{"id": DATASET, "name": "new"}],
    "importDataset": [{"datasetId": DATASET, "documentId": DOCUMENT}],
    "correctItem": [{"itemId": ITEM, "values": ["a question", "an answer"]}],
    "deleteItems": SOME_ITEMS,
    "restoreItems": SOME_ITEMS,
    "resolveModel": [{"projectId": PROJECT, "modelId": "luthier/tiny"}],
    "createFinetune": [{"projectId": PROJECT, "baseModelName": "luthier/tiny", "trainingDatasetId": DATASET}],
    "cancelFinetune": [{"id": FINETUNE}],
    "complete": [{"finetuneId": FINETUNE, "prompt": "a question"}],
    "cancelJob": [{"id": IdOf("Job")}],
    "createDeployment": [{"projectId": PROJECT, "finetuneId": FINETUNE, "modelName": "new"}],
    "revokeApiKey": [{"id": IdOf("ApiKey")}],
    "deleteDeployment": [{"id": DEPLOYMENT}],
    "deleteFinetune": [{"id": FINETUNE}],
    "deleteDocument": [{"id": DOCUMENT}],
    "deleteDataset": [{"id": DATASET}],
    "deleteProject": [{"id": PROJECT}],
}
"""The inputs of each mutation, in an order in which the owner can send all of them."""
CASES = [(name, case) for name, cases in INPUTS.items() for case in cases]
IN_USE = {"cancelFinetune", "cancelJob", "deleteFinetune", "deleteDocument", "deleteDataset"}
"""Mutations that are a conflict for the owner too: the training has ended, and other objects are in use."""
STREAMS: dict[str, Input] = {"jobEvents": {"jobId": IdOf("Job")}}


@pytest.fixture
async def owner(api: Api, services: Services) -> SampleData:
    """The user whose objects are to be protected."""
    return await create_sample_data(services, api)


@pytest.fixture
async def other_user(api: Api, services: Services) -> SampleData:
    """Another user with objects of every noun."""
    return await create_sample_data(services, api.other)


def covered_places() -> set[str]:
    """Every place of the schema in which these tests send an id of another user."""
    mutations = {f"Mutation.{name}.input.{place}" for name, case in CASES for place, _ in id_places_of(case)}
    streams = {
        f"Subscription.{name}.{place}" for name, case in STREAMS.items() for place, _ in id_places_of(case)
    }
    filters = {"Deployment.logs.filter.apiKeyId"}
    return (
        mutations
        | streams
        | filters
        | {f"Query.{name}.id" for name in (*BY_ID, "node")}
        | {"Query.nodes.ids"}
    )


def test_every_field_of_the_schema_is_tested_here() -> None:
    assert unknown_ids().keys() >= NODES.keys()
    assert QUERIES.keys() == BY_ID.keys() | LISTS.keys() | OTHERS
    assert MUTATIONS.keys() == INPUTS.keys() | OPEN
    assert SUBSCRIPTIONS.keys() == STREAMS.keys()
    assert id_places() - covered_places() == set()


async def ask(rest: httpx.AsyncClient, document: str, /, **variables: Any) -> str:
    """The GraphQL response as text, with a constant request id."""
    body = {"query": document, "variables": variables}
    return (await rest.post("/graphql", json=body, headers={"x-request-id": "same"})).text


def is_unauthenticated(response: str) -> bool:
    """Whether a response has UNAUTHENTICATED errors alone, and no data."""
    body = json.loads(response)
    codes = [error["extensions"]["code"] for error in body.get("errors") or ()]
    return set(codes) == {"UNAUTHENTICATED"} and not any((body["data"] or {}).values())


async def test_nodes_are_visible_to_their_owner_alone(
    owner: SampleData, other_user: SampleData, anonymous: httpx.AsyncClient
) -> None:
    one = "query($id: ID!) { node(id: $id) { __typename id } }"
    many = "query($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }"
    assert owner.ids.keys() == NODES.keys()
    owned, missing = list(owner.ids.values()), [unknown_ids()[noun] for noun in owner.ids]
    found = [{"__typename": noun, "id": id} for noun, id in owner.ids.items()]
    shared = [node if node["__typename"] in SHARED else None for node in found]
    assert [(await owner.api.gql(one, id=id))["node"] for id in owned] == found
    assert [(await other_user.api.gql(one, id=id))["node"] for id in owned] == shared
    assert [is_unauthenticated(await ask(anonymous, one, id=id)) for id in owned] == [True] * len(owned)
    assert (await owner.api.gql(many, ids=owned))["nodes"] == found
    assert (await other_user.api.gql(many, ids=owned))["nodes"] == shared
    assert (await other_user.api.gql(many, ids=missing))["nodes"] == shared
    assert is_unauthenticated(await ask(anonymous, many, ids=owned))


async def test_every_query_by_id_finds_objects_for_their_owner_alone(
    owner: SampleData, other_user: SampleData, anonymous: httpx.AsyncClient
) -> None:
    for name, field in BY_ID.items():
        document, id = f"query($id: ID!) {{ {name}(id: $id) {{ id }} }}", owner.ids[str(field.type)]
        found = {name: {"id": id}}
        is_shared = str(field.type) in SHARED
        assert await owner.api.gql(document, id=id) == found
        assert await other_user.api.gql(document, id=id) == (found if is_shared else {name: None})
        assert is_unauthenticated(await ask(anonymous, document, id=id)), name


async def test_the_viewer_is_the_signed_in_user(api: Api, anonymous: httpx.AsyncClient) -> None:
    for user in (api, api.other):
        assert await user.gql("{ viewer { id } }") == {"viewer": {"id": user.user_id}}
    assert json.loads(await ask(anonymous, "{ viewer { id } }"))["data"] == {"viewer": None}


async def reachable(sample: SampleData, selections: Callable[[Mapping[str, GraphQLField]], list[str]]) -> str:
    """Everything in a user's lists, and everything that a user's objects refer to, as JSON."""
    responses = [await sample.api.gql(f"{{ {selection} }}") for selection in selections(LISTS)]
    for noun, id in sample.ids.items():
        for selection in selections(NODES[noun].fields):
            document = f"query($id: ID!) {{ node(id: $id) {{ ... on {noun} {{ {selection} }} }} }}"
            responses.append(await sample.api.gql(document, id=id))
    return json.dumps(responses)


async def test_lists_and_objects_refer_to_no_object_of_another_user_with_any_filter(
    owner: SampleData, other_user: SampleData
) -> None:
    of_owner = await reachable(owner, all_of)
    of_other_user = await reachable(other_user, lambda fields: filtered(fields, owner.ids["ApiKey"]))
    shared = {id for id in ids_in(json.loads(of_owner)) if noun_of(id) in SHARED}
    assert ids_in(json.loads(of_owner)) >= set(owner.ids.values())
    assert ids_in(json.loads(of_owner)) & ids_in(json.loads(of_other_user)) == shared
    assert {noun for noun, id in owner.ids.items() if id in of_other_user} == SHARED


async def test_lists_need_a_signed_in_user(owner: SampleData, anonymous: httpx.AsyncClient) -> None:
    for name, field in LISTS.items():
        document = f"{{ {name} {selected(field)} }}"
        assert (await owner.api.gql(document))[name]["totalCount"] > 0
        assert is_unauthenticated(await ask(anonymous, document)), name


def code(name: str, response: str) -> str | None:
    """The code of a mutation's user error; None when it has none."""
    errors = json.loads(response)["data"][name]["userErrors"]
    return errors[0]["code"] if errors else None


async def test_no_mutation_accepts_ids_of_another_user_alone_or_with_own_ones(
    owner: SampleData, other_user: SampleData, database: AsyncEngine
) -> None:
    before, no_object = await snapshot(database), unknown_ids()
    seen, expected = {}, {}
    for name, case in CASES:
        for nouns, (foreign, missing) in foreign_inputs(case, other_user.ids, owner.ids, no_object):
            response = await ask(other_user.api.rest, mutation(name), input=foreign)
            of_missing = await ask(other_user.api.rest, mutation(name), input=missing)
            is_changed = await snapshot(database) != before
            seen[name, *case, nouns] = code(name, response), without_ids(response, owner.ids), is_changed
            expected[name, *case, nouns] = "NOT_FOUND", without_ids(of_missing, no_object), False
    assert seen == expected
    assert {name for name, *_ in seen} == {name for name, case in CASES if any(id_places_of(case))}


async def test_mutations_need_a_signed_in_user(
    owner: SampleData, anonymous: httpx.AsyncClient, database: AsyncEngine
) -> None:
    before = await snapshot(database)
    for name, case in CASES:
        assert is_unauthenticated(await ask(anonymous, mutation(name), input=with_ids_of(case, owner.ids))), (
            name
        )
    assert await snapshot(database) == before


async def test_the_owner_may_send_all_of_these_mutations(owner: SampleData) -> None:
    for name, case in CASES:
        response = await ask(owner.api.rest, mutation(name), input=with_ids_of(case, owner.ids))
        assert code(name, response) == ("CONFLICT" if name in IN_USE else None), response


async def test_an_idempotency_key_of_one_user_is_not_that_of_another(
    owner: SampleData, other_user: SampleData
) -> None:
    cases = [(name, case) for name, case in CASES if takes(name, "idempotencyKey")]
    assert cases
    for name, case in cases:
        given = with_ids_of(case, owner.ids) | {"idempotencyKey": f"with {len(case)} fields"}
        first = await ask(owner.api.rest, mutation(name), input=given)
        second = await ask(other_user.api.rest, mutation(name), input=given)
        assert code(name, first) is None, first
        assert code(name, second) == ("NOT_FOUND" if any(id_places_of(case)) else None), second
        assert ids_in(json.loads(first)).isdisjoint(ids_in(json.loads(second)))


async def subscribe(rest: httpx.AsyncClient, name: str, given: Mapping[str, str]) -> list[Any]:
    """The results of a subscription, over server-sent events."""
    arguments = ", ".join(f"{argument}: {json.dumps(value)}" for argument, value in given.items())
    body = {"query": f"subscription {{ {name}({arguments}) {{ __typename }} }}"}
    headers = {"accept": "text/event-stream", "x-request-id": "same"}
    lines = (await rest.post("/graphql", json=body, headers=headers)).text.splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]


async def test_streams_are_visible_to_their_owner_alone(
    owner: SampleData, other_user: SampleData, anonymous: httpx.AsyncClient
) -> None:
    missing = unknown_ids()
    for name, given in STREAMS.items():
        input = with_ids_of(given, owner.ids)
        seen = await subscribe(owner.api.rest, name, input)
        assert seen
        assert all(result["data"][name] for result in seen)
        refused = await subscribe(other_user.api.rest, name, input)
        of_missing = await subscribe(other_user.api.rest, name, with_ids_of(given, missing))
        assert [result["errors"][0]["extensions"]["code"] for result in refused] == ["NOT_FOUND"]
        assert without_ids(json.dumps(refused), owner.ids) == without_ids(json.dumps(of_missing), missing)
        unauthenticated = await subscribe(anonymous, name, input)
        assert [result["errors"][0]["extensions"]["code"] for result in unauthenticated] == [
            "UNAUTHENTICATED"
        ]
