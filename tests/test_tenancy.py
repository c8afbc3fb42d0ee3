"""Nobody reaches what is another's over GraphQL. The schema says what there is: what is new needs a case here."""

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
from tests.world import SHARED, Of, World, masked, owned, places, plant, snapshot, trespasses, unknown

pytestmark = pytest.mark.anyio

OTHERS = {"viewer", "ticket", "health", "node", "nodes"}
"""Queries that are tested by name: `ticket` with the REST routes, and `health` may be asked by anyone."""
OPEN = {"register", "login"}
"""Mutations for those who are not signed in."""

PROJECT, DOCUMENT, DATASET, ITEM = Of("Project"), Of("Document"), Of("Dataset"), Of("DatasetItem")
FINETUNE, DEPLOYMENT = Of("Finetune"), Of("Deployment")
Input = dict[str, Any]
SOME_ITEMS: list[Input] = [
    {"itemIds": [ITEM, Of("DatasetItem", slot=2)]},
    {"datasetId": DATASET, "filter": {}},
]
INPUTS: dict[str, list[Input]] = {
    "createProject": [{"name": "new"}],
    "createApiKey": [{"name": "new"}, {"name": "new", "deploymentId": DEPLOYMENT}],
    "updateProject": [
        {"id": PROJECT, "name": "new"},
        {"id": PROJECT, "trainingDatasetId": DATASET},
        {"id": PROJECT, "finetuneId": FINETUNE, "baseModelId": Of("BaseModel")},
    ],
    "initiateUpload": [
        {"projectId": PROJECT, "fileName": "t.csv", "fileType": "text/csv", "kind": "DATASET_UPLOAD"}
    ],
    "completeUpload": [{"documentId": DOCUMENT, "s3Key": Of("Document", text="documents/{}/table.csv")}],
    "createDataset": [
        {"projectId": PROJECT, "inputField": "q", "outputField": "a", "fieldNames": ["q", "a"]}
    ],
    "updateDataset": [{"id": DATASET, "name": "new"}],
    "importDataset": [{"datasetId": DATASET, "documentId": DOCUMENT}],
    "correctItem": [{"itemId": ITEM, "values": ["a question", "an answer"]}],
    "deleteItems": SOME_ITEMS,
    "restoreItems": SOME_ITEMS,
    "createFinetune": [{"projectId": PROJECT, "baseModelName": "luthier/tiny", "trainingDatasetId": DATASET}],
    "cancelFinetune": [{"id": FINETUNE}],
    "complete": [{"finetuneId": FINETUNE, "prompt": "a question"}],
    "cancelJob": [{"id": Of("Job")}],
    "createDeployment": [{"projectId": PROJECT, "finetuneId": FINETUNE, "modelName": "new"}],
    "revokeApiKey": [{"id": Of("ApiKey")}],
    "deleteDeployment": [{"id": DEPLOYMENT}],
    "deleteFinetune": [{"id": FINETUNE}],
    "deleteDocument": [{"id": DOCUMENT}],
    "deleteDataset": [{"id": DATASET}],
    "deleteProject": [{"id": PROJECT}],
}
"""What is sent to each mutation, in an order in which the owner can send all of it."""
CASES = [(name, it) for name, them in INPUTS.items() for it in them]
IN_USE = {"cancelFinetune", "cancelJob", "deleteFinetune", "deleteDocument", "deleteDataset"}
"""What the owner is refused too: the training has ended, and what was made before uses the others."""
STREAMS: dict[str, Input] = {"jobEvents": {"jobId": Of("Job")}}


@pytest.fixture
async def owner(api: Api, services: Services) -> World:
    """Who has something to lose."""
    return await plant(services, api)


@pytest.fixture
async def stranger(api: Api, services: Services) -> World:
    """Who has as much, but nothing of the owner's."""
    return await plant(services, api.other)


def covered_places() -> set[str]:
    """Every place of the schema into which these tests put another's id."""
    mutations = {f"Mutation.{name}.input.{place}" for name, it in CASES for place, _ in places(it)}
    streams = {f"Subscription.{name}.{place}" for name, it in STREAMS.items() for place, _ in places(it)}
    filters = {"Deployment.logs.filter.apiKeyId"}
    return mutations | streams | filters | {f"Query.{it}.id" for it in (*BY_ID, "node")} | {"Query.nodes.ids"}


def test_everything_that_the_schema_has_is_tested_here() -> None:
    assert unknown().keys() >= NODES.keys()
    assert QUERIES.keys() == BY_ID.keys() | LISTS.keys() | OTHERS
    assert MUTATIONS.keys() == INPUTS.keys() | OPEN
    assert SUBSCRIPTIONS.keys() == STREAMS.keys()
    assert id_places() - covered_places() == set()


async def ask(rest: httpx.AsyncClient, document: str, /, **variables: Any) -> str:
    """The whole GraphQL answer as text; its request id is always the same."""
    body = {"query": document, "variables": variables}
    return (await rest.post("/graphql", json=body, headers={"x-request-id": "same"})).text


def is_turned_away(answer: str) -> bool:
    """Whether the answer is to sign in first, and nothing else."""
    body = json.loads(answer)
    codes = [it["extensions"]["code"] for it in body.get("errors") or ()]
    return set(codes) == {"UNAUTHENTICATED"} and not any((body["data"] or {}).values())


async def test_objects_are_seen_by_their_owner_alone(
    owner: World, stranger: World, anonymous: httpx.AsyncClient
) -> None:
    one = "query($id: ID!) { node(id: $id) { __typename id } }"
    many = "query($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }"
    assert owner.ids.keys() == NODES.keys()
    theirs, nothing = list(owner.ids.values()), [unknown()[noun] for noun in owner.ids]
    found = [{"__typename": noun, "id": id} for noun, id in owner.ids.items()]
    shared = [it if it["__typename"] in SHARED else None for it in found]
    assert [(await owner.api.gql(one, id=id))["node"] for id in theirs] == found
    assert [(await stranger.api.gql(one, id=id))["node"] for id in theirs] == shared
    assert [is_turned_away(await ask(anonymous, one, id=id)) for id in theirs] == [True] * len(theirs)
    assert (await owner.api.gql(many, ids=theirs))["nodes"] == found
    assert (await stranger.api.gql(many, ids=theirs))["nodes"] == shared
    assert (await stranger.api.gql(many, ids=nothing))["nodes"] == shared
    assert is_turned_away(await ask(anonymous, many, ids=theirs))


async def test_every_query_by_id_finds_for_the_owner_alone(
    owner: World, stranger: World, anonymous: httpx.AsyncClient
) -> None:
    for name, field in BY_ID.items():
        document, id = f"query($id: ID!) {{ {name}(id: $id) {{ id }} }}", owner.ids[str(field.type)]
        found = {name: {"id": id}}
        is_shared = str(field.type) in SHARED
        assert await owner.api.gql(document, id=id) == found
        assert await stranger.api.gql(document, id=id) == (found if is_shared else {name: None})
        assert is_turned_away(await ask(anonymous, document, id=id)), name


async def test_the_viewer_is_who_asks(api: Api, anonymous: httpx.AsyncClient) -> None:
    for each in (api, api.other):
        assert await each.gql("{ viewer { id } }") == {"viewer": {"id": each.user_id}}
    assert json.loads(await ask(anonymous, "{ viewer { id } }"))["data"] == {"viewer": None}


async def reachable(world: World, asked: Callable[[Mapping[str, GraphQLField]], list[str]]) -> str:
    """All that a user's lists hold, and that a user's objects lead to."""
    answers = [await world.api.gql(f"{{ {them} }}") for them in asked(LISTS)]
    for noun, id in world.ids.items():
        for them in asked(NODES[noun].fields):
            document = f"query($id: ID!) {{ node(id: $id) {{ ... on {noun} {{ {them} }} }} }}"
            answers.append(await world.api.gql(document, id=id))
    return json.dumps(answers)


async def test_lists_and_objects_lead_to_nothing_of_anothers_under_any_filter(
    owner: World, stranger: World
) -> None:
    mine = await reachable(owner, all_of)
    theirs = await reachable(stranger, lambda fields: filtered(fields, owner.ids["ApiKey"]))
    catalogue = {it for it in ids_in(json.loads(mine)) if noun_of(it) in SHARED}
    assert ids_in(json.loads(mine)) >= set(owner.ids.values())
    assert ids_in(json.loads(mine)) & ids_in(json.loads(theirs)) == catalogue
    assert {noun for noun, id in owner.ids.items() if id in theirs} == SHARED


async def test_nobody_is_shown_a_list(owner: World, anonymous: httpx.AsyncClient) -> None:
    for name, field in LISTS.items():
        document = f"{{ {name} {selected(field)} }}"
        assert (await owner.api.gql(document))[name]["totalCount"] > 0
        assert is_turned_away(await ask(anonymous, document)), name


def code(name: str, answer: str) -> str | None:
    """Why a mutation was refused; None where it was not."""
    errors = json.loads(answer)["data"][name]["userErrors"]
    return errors[0]["code"] if errors else None


async def test_no_mutation_takes_anothers_id_alone_or_beside_ones_own(
    owner: World, stranger: World, database: AsyncEngine
) -> None:
    before, nothing = await snapshot(database), unknown()
    seen, expected = {}, {}
    for name, case in CASES:
        for what, (theirs, missing) in trespasses(case, stranger.ids, owner.ids, nothing):
            answer = await ask(stranger.api.rest, mutation(name), input=theirs)
            same = masked(await ask(stranger.api.rest, mutation(name), input=missing), nothing)
            is_changed = await snapshot(database) != before
            seen[name, *case, what] = code(name, answer), masked(answer, owner.ids), is_changed
            expected[name, *case, what] = "NOT_FOUND", same, False
    assert seen == expected
    assert {name for name, *_ in seen} == {name for name, it in CASES if any(places(it))}


async def test_nobody_changes_anything(
    owner: World, anonymous: httpx.AsyncClient, database: AsyncEngine
) -> None:
    before = await snapshot(database)
    for name, case in CASES:
        assert is_turned_away(await ask(anonymous, mutation(name), input=owned(case, owner.ids))), name
    assert await snapshot(database) == before


async def test_the_owner_may_do_all_of_it(owner: World) -> None:
    for name, case in CASES:
        answer = await ask(owner.api.rest, mutation(name), input=owned(case, owner.ids))
        assert code(name, answer) == ("CONFLICT" if name in IN_USE else None), answer


async def test_an_idempotency_key_gives_nobody_anothers_answer(owner: World, stranger: World) -> None:
    keyed = [(name, it) for name, it in CASES if takes(name, "idempotencyKey")]
    assert keyed
    for name, case in keyed:
        given = owned(case, owner.ids) | {"idempotencyKey": f"with {len(case)} fields"}
        first = await ask(owner.api.rest, mutation(name), input=given)
        second = await ask(stranger.api.rest, mutation(name), input=given)
        assert code(name, first) is None, first
        assert code(name, second) == ("NOT_FOUND" if any(places(case)) else None), second
        assert ids_in(json.loads(first)).isdisjoint(ids_in(json.loads(second)))


async def follow(rest: httpx.AsyncClient, name: str, given: Mapping[str, str]) -> list[Any]:
    """The results of a subscription, over server-sent events."""
    arguments = ", ".join(f"{it}: {json.dumps(value)}" for it, value in given.items())
    body = {"query": f"subscription {{ {name}({arguments}) {{ __typename }} }}"}
    headers = {"accept": "text/event-stream", "x-request-id": "same"}
    lines = (await rest.post("/graphql", json=body, headers=headers)).text.splitlines()
    return [json.loads(it.removeprefix("data: ")) for it in lines if it.startswith("data: {")]


async def test_streams_are_followed_by_their_owner_alone(
    owner: World, stranger: World, anonymous: httpx.AsyncClient
) -> None:
    nothing = unknown()
    for name, given in STREAMS.items():
        theirs = owned(given, owner.ids)
        seen = await follow(owner.api.rest, name, theirs)
        assert seen
        assert all(it["data"][name] for it in seen)
        refused = await follow(stranger.api.rest, name, theirs)
        same = await follow(stranger.api.rest, name, owned(given, nothing))
        assert [it["errors"][0]["extensions"]["code"] for it in refused] == ["NOT_FOUND"]
        assert masked(json.dumps(refused), owner.ids) == masked(json.dumps(same), nothing)
        turned_away = await follow(anonymous, name, theirs)
        assert [it["errors"][0]["extensions"]["code"] for it in turned_away] == ["UNAUTHENTICATED"]
