"""Frameworks and libraries that call models through the protocol of OpenAI."""

import pytest

from tests.interop.conftest import Endpoint, Run, differences
from tests.interop.scripted_model import MODEL

pytestmark = pytest.mark.anyio

HELLO = "You wrote: Hello"
SUNNY = "The tool returned: It is sunny in Kyoto."
CITY = {"name": "Kyoto", "population": 1460000}
import json

@pytest.mark.parametrize("p", ["langchain.py","litellm_client.py","pydantic_ai_client.py","openai_agents.py","ai_sdk.mjs"])
async def test_langchain(endpoint: Endpoint, run: Run,p) -> None:
    found = await run(p, endpoint.environment)
    print(json.dumps(found,indent=1))
    assert 0
