"""What is imported in OpenAI's format and downloaded in it is the same JSON."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.clients import Api
from tests.conftest import Worker
from tests.domain.line_formats.strategies import conversations, preferences
from tests.importing import fetch_dataset, import_into_new

pytestmark = pytest.mark.anyio


def generated(strategy: st.SearchStrategy[Any], count: int) -> list[Any]:
    """So many generated lines."""
    found = list[Any]()

    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def add(line: Any) -> None:
        found.append(line)

    add()
    return found


@pytest.mark.parametrize("is_array", [True, False])
@pytest.mark.parametrize(
    ("item_format", "strategy"), [("CONVERSATION", conversations()), ("PREFERENCE", preferences())]
)
async def test_openais_lines_come_back_as_the_same_json(
    api: Api, worker: Worker, item_format: str, strategy: st.SearchStrategy[Any], *, is_array: bool
) -> None:
    lines = generated(strategy, 100)
    texts = [json.dumps(line, indent=1 if is_array else None, ensure_ascii=is_array) for line in lines]
    content = f"[{','.join(texts)}]" if is_array else "\n".join(texts)
    done = await import_into_new(api, worker, item_format, content, "lines.json")
    assert done["status"] == "DONE", done
    url = (await fetch_dataset(api, done["id"], "downloadUrl"))["downloadUrl"]
    response = await api.rest.get(url, params={"format": "openai", "items": "all"})
    assert response.status_code == 200, response.text
    downloaded = response.content.decode().removesuffix("\n").split("\n")
    assert [json.loads(line) for line in downloaded] == lines
