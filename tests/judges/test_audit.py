"""The audit of GraphQL over HTTP by the reference implementation of its specification."""

import pytest

from tests.judges.conftest import Node

pytestmark = pytest.mark.anyio


async def test_all_61_audits_of_graphql_over_http_are_passed(live: str, node: Node) -> None:
    (results,) = [result async for result in node("audit.mjs", f"{live}/graphql")]
    assert [result for result in results if result["status"] != "ok"] == []
    assert len({result["id"] for result in results}) == 61
