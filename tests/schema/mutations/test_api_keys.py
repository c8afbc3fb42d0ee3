"""API keys over GraphQL."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.api_keys import digest_of_secret
from infra.db.tables import api_keys
from tests.clients import Api
from tests.finetuning import new_project

pytestmark = pytest.mark.anyio

KEY = "apiKey { id name prefix deployment { id } expiresAt revokedAt lastUsedAt } secret"


async def new_deployment(api: Api) -> str:
    given = {"projectId": await new_project(api), "modelName": "llama3"}
    return str((await api.mutate("createDeployment", "deployment { id }", **given))["deployment"]["id"])


async def test_a_secret_is_shown_once_and_only_its_digest_is_kept(api: Api, database: AsyncEngine) -> None:
    made = await api.mutate("createApiKey", KEY, name="laptop", deploymentId=await new_deployment(api))
    secret = made["secret"]
    assert secret.startswith(made["apiKey"]["prefix"])
    async with database.connect() as connection:
        rows = [tuple(row) for row in await connection.execute(select(api_keys))]
    assert secret not in repr(rows)
    assert digest_of_secret(secret) in {value for row in rows for value in row}


async def test_a_key_is_for_a_deployment_or_for_the_account(api: Api) -> None:
    deployment_id = await new_deployment(api)
    ends = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    mine = await api.mutate("createApiKey", KEY, name=" mine ", expiresAt=ends)
    assert mine["apiKey"] | {"id": "", "prefix": ""} == {
        "id": "", "prefix": "", "name": "mine", "deployment": None, "expiresAt": ends, "revokedAt": None,
        "lastUsedAt": None,
    }  # fmt: skip
    for_deployment = await api.mutate("createApiKey", KEY, name="its", deploymentId=deployment_id)
    assert for_deployment["apiKey"]["deployment"] == {"id": deployment_id}
    found = await api.gql(
        "query($id: ID!) { apiKeys { nodes { name } } deployment(id: $id) { apiKeys { nodes { name } } } }",
        id=deployment_id,
    )
    assert [node["name"] for node in found["apiKeys"]["nodes"]] == ["its", "mine", "first key"]
    assert [node["name"] for node in found["deployment"]["apiKeys"]["nodes"]] == ["its", "first key"]


async def test_invalid_values_of_a_key_are_refused(api: Api) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"name": " "}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "a", "expiresAt": "2020-01-01T00:00:00Z"}, "expiresAt"),
        ({"name": "a", "expiresAt": "9999-12-31T23:59:59-23:59"}, "expiresAt"),
    ]
    for given, field in wrong:
        error = await api.refused("createApiKey", **given)
        assert (error["code"], error["field"]) == ("INVALID", [field])


async def test_revoking_a_key_is_final_and_idempotent(api: Api) -> None:
    made = await api.mutate("createApiKey", KEY, name="a")
    revoked = [
        (await api.mutate("revokeApiKey", "apiKey { revokedAt }", id=made["apiKey"]["id"]))["apiKey"]
        for _ in range(2)
    ]
    assert revoked[0]["revokedAt"] is not None
    assert revoked[0] == revoked[1]


async def test_a_replayed_creation_returns_the_key_without_its_secret(api: Api) -> None:
    first, second = [await api.mutate("createApiKey", KEY, name="a", idempotencyKey="k") for _ in range(2)]
    assert first["secret"]
    assert second == first | {"secret": None}


async def test_another_users_key_is_not_found(api: Api) -> None:
    made = await api.mutate("createApiKey", KEY, name="a")
    for id in (made["apiKey"]["id"], "key_00000000000000000000000000", "garbage"):
        assert (await api.other.refused("revokeApiKey", id=id))["reason"] == "API_KEY_NOT_FOUND"
        node = await api.other.gql("query($id: ID!) { node(id: $id) { id } }", id=id)
        assert node == {"node": None}
    assert (await api.gql("{ apiKeys { nodes { revokedAt } } }"))["apiKeys"]["nodes"] == [{"revokedAt": None}]
