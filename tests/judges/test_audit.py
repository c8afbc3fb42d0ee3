"""The audit of GraphQL over HTTP by the specification's own reference."""

import pytest

from tests.judges.conftest import Node

pytestmark = pytest.mark.anyio


async def test_all_61_audits_of_graphql_over_http_are_passed(live: str, node: Node) -> None:
    (results,) = [it async for it in node("audit.mjs", f"{live}/graphql")]
    assert [it for it in results if it["status"] != "ok"] == []
    assert len({it["id"] for it in results}) == 61
