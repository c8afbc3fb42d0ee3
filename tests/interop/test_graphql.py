"""Clients of GraphQL."""

from pathlib import Path
from typing import Any

import pytest

from domain.services import Services
from tests.clients import Api
from tests.interop.running import PYTHON, check_installed, differences, output, run_program
from tests.jobs import queued_job, start_job, succeed

pytestmark = pytest.mark.anyio

STATUSES = ["QUEUED", "RUNNING", "SUCCESS"]
OPERATIONS = """
query viewer { viewer { email } }
mutation create_project($name: String!) { createProject(input: { name: $name }) { project { name } userErrors { reason } } }
subscription job_events($id: ID!) { jobEvents(jobId: $id) { ... on StatusEvent { status } } }
"""
CODEGEN = """
[tool.ariadne-codegen]
remote_schema_url = "{url}/graphql"
remote_schema_headers = {{ Authorization = "Bearer {token}" }}
queries_path = "operations.graphql"
target_package_name = "luthier_client"
"""


@pytest.fixture
async def variables(api: Api, services: Services, live: str) -> dict[str, str]:
    """The server, a token, and a job that has ended, as the programs read them."""
    job = await start_job(services, (await queued_job(api, services)).id)
    await succeed(services, job)
    return {"URL": live, "TOKEN": api.token, "JOB_ID": job.id}


async def test_apollo(variables: dict[str, str]) -> None:
    expected: dict[str, Any] = {
        "query": "User",
        "mutation": "From Apollo",
        "cache": [True, 0],
        "persisted_query_falls_back": ["User", [False, True]],
        "error": ["BAD_USER_INPUT"],
        "subscription": STATUSES,
        "headers_in_connection_init": STATUSES,
    }
    assert differences(await run_program("apollo.mjs", variables), expected) == {}


async def test_urql(variables: dict[str, str]) -> None:
    expected: dict[str, Any] = {
        "query": "User",
        "mutation": "From urql",
        "persisted_query_falls_back": ["user", [False, True]],
        "error": ["BAD_USER_INPUT"],
        "subscription": STATUSES,
        "subscription_by_fetch": STATUSES,
    }
    assert differences(await run_program("urql.mjs", variables), expected) == {}


async def test_apollo_and_urql_send_the_text_once_the_hash_is_not_supported(
    api: Api, variables: dict[str, str]
) -> None:
    by_hash = {"method": "POST", "hash": True, "text": False, "status": 200}
    by_text = {"method": "POST", "hash": False, "text": True, "status": 200}
    by_get = {"method": "GET"}
    both = [api.user_id, api.user_id]
    expected: dict[str, Any] = {
        "apollo": [[by_hash, by_text, by_text], both],
        "apollo_by_get": [[by_hash | by_get, by_text, by_text], both],
        "urql": [[by_hash, by_text, by_text], both],
        "urql_by_get": [[by_hash | by_get, by_text | by_get, by_text], both],
        "urql_with_subscriptions": [[by_hash, by_text, by_text, by_text], [*both, "1"]],
        "urql_over_a_websocket": [[], [*both, "1"]],
    }
    assert differences(await run_program("persisted.mjs", variables), expected) == {}


async def test_gql(variables: dict[str, str]) -> None:
    expected: dict[str, Any] = {
        "query": ["viewer", "Query"],
        "mutation": {"createProject": {"project": {"name": "From gql"}}},
        "error": ["BAD_USER_INPUT"],
        "subscription": STATUSES,
        "headers_in_connection_init": ["viewer"],
    }
    assert differences(await run_program("gql_client.py", variables), expected) == {}


async def test_ariadne_codegen(variables: dict[str, str], tmp_path: Path) -> None:
    check_installed()
    (tmp_path / "operations.graphql").write_text(OPERATIONS)
    (tmp_path / "pyproject.toml").write_text(CODEGEN.format(url=variables["URL"], token=variables["TOKEN"]))
    await output([str(PYTHON.with_name("ariadne-codegen"))], {}, cwd=tmp_path)
    expected: dict[str, Any] = {
        "query": True,
        "mutation": ["From ariadne-codegen", []],
        "user_error": ["REQUIRED"],
        "wrong_token": ["UNAUTHENTICATED"],
        "subscription": STATUSES,
    }
    assert differences(await run_program("ariadne_codegen.py", variables, str(tmp_path)), expected) == {}
