"""Errors of the database are masked, and no log line has a password, a token or a key."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.logs import JsonLines
from tests.clients import REGISTER, Api
from tests.leaks.faults import MASKED, faults_logged, leaks

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def renamed_column(database: AsyncEngine, table: str, column: str) -> AsyncIterator[None]:
    """The column has another name in this block."""
    async with database.begin() as connection:
        await connection.execute(text(f"alter table {table} rename column {column} to gone"))
    try:
        yield
    finally:
        async with database.begin() as connection:
            await connection.execute(text(f"alter table {table} rename column gone to {column}"))


CREATE_KEY = """mutation($input: CreateApiKeyInput!) { createApiKey(input: $input) {
  secret apiKey { id } userErrors { message } } }"""
LOGIN = "mutation($input: LoginInput!) { login(input: $input) { userErrors { message } } }"


async def test_an_error_of_the_database_is_masked_and_logged_without_its_values(
    api: Api, database: AsyncEngine, caplog: pytest.LogCaptureFixture
) -> None:
    given = {"email": "someone@example.org", "password": "correct horse", "name": "Someone"}
    calls: list[tuple[str, str, str, dict[str, Any]]] = [
        ("users", "billing_cycle", REGISTER, given),
        ("api_keys", "revoked_at", CREATE_KEY, {"name": "a name of mine"}),
    ]
    for table, column, document, values in calls:
        async with renamed_column(database, table, column):
            response = await api.rest.post(
                "/graphql", json={"query": document, "variables": {"input": values}}
            )
        (error,) = response.json()["errors"]
        assert (error["message"], error["extensions"]["code"]) == (MASKED, "INTERNAL")
        assert not leaks(response.text)
        (line,) = faults_logged(caplog, error["extensions"]["requestId"])
        assert "UndefinedColumn" in line["error"]
        assert not [value for value in (*values.values(), "$argon2") if value in line["error"]]


async def test_no_password_token_or_key_is_logged(
    anonymous: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    given = {"email": "someone@example.org", "password": "correct horse", "name": "Someone"}
    made = await anonymous.post("/graphql", json={"query": REGISTER, "variables": {"input": given}})
    token = made.json()["data"]["register"]["accessToken"]
    headers = {"authorization": f"Bearer {token}"}
    body = {"query": CREATE_KEY, "variables": {"input": {"name": "k"}}}
    secret = (await anonymous.post("/graphql", json=body, headers=headers)).json()["data"]["createApiKey"][
        "secret"
    ]
    wrong = {"query": LOGIN, "variables": {"input": {"email": given["email"], "password": "wrong horse"}}}
    assert (await anonymous.post("/graphql", json=wrong)).json()["data"]["login"]["userErrors"]
    invalid = {"query": REGISTER + "}", "variables": {"input": given}}
    assert (await anonymous.post("/graphql", json=invalid)).json()["errors"]
    logged = "\n".join(JsonLines("api").format(record) for record in caplog.records)
    assert not [text for text in (given["password"], "wrong horse", token, secret) if text in logged]
