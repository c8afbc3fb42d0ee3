"""An application whose ports can be made to fail, and a user with an object of every noun."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.wiring import Wiring
from domain.services import Services
from tests.breaking import Breaking
from tests.clients import Api
from tests.external import KEY
from tests.sample_data import SampleData, create_sample_data


@pytest.fixture
def ports(wiring: Wiring) -> dict[str, Any]:
    """The ports that tests can make fail."""
    return {name: Breaking(getattr(wiring.services, name)) for name in ("transactions", "storage")}


@pytest.fixture
def services(services: Services, ports: dict[str, Any]) -> Services:
    """The ports with those that can fail, and with a key for external workers."""
    return replace(services, external_api_key=KEY["x-api-key"], **ports)


@pytest.fixture
async def owner(api: Api, services: Services, database: AsyncEngine) -> SampleData:
    """A user with an object of every noun; the item is from a document."""
    made = await create_sample_data(services, api)
    async with database.begin() as connection:
        await connection.execute(text("update items set document_id = (select id from documents limit 1)"))
    return made
