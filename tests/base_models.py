"""Base models for tests: repositories of a fake hub, and the records of their base models."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from domain.base_models import BaseModel, HubLimits, ModelSource, id_of
from domain.services import Services
from infra.base_model_files import DiskBaseModelCache
from infra.hub import HuggingFaceHub
from tests.fakes.hub import FakeHub

MODEL_ID = "some-one/small"
WEIGHTS = bytes(range(256)) * 12_000
FILES: dict[str, Any] = {
    "README.md": "A model.",
    "config.json": {"model_type": "llama"},
    "tokenizer.json": {"version": "1.0"},
    "model.safetensors": WEIGHTS,
}


def with_hub(services: Services, hub: FakeHub, folder: Path, *, max_bytes: int = 10**9) -> Services:
    """The services of a worker whose models are in `folder` and come from a fake hub."""
    return replace(
        services,
        hub=HuggingFaceHub(hub.url, None),
        hub_limits=HubLimits(enabled=True, max_bytes=max_bytes),
        base_model_cache=DiskBaseModelCache(folder),
    )


@asynccontextmanager
async def hub_model(
    services: Services, model_id: str = MODEL_ID, revision: str | None = None
) -> AsyncIterator[BaseModel]:
    """A base model that was resolved on a hub, and is deleted at the end of the block."""
    model = BaseModel(
        id=id_of(model_id),
        model_id=model_id,
        name=model_id,
        source=ModelSource.HUGGING_FACE,
        base_architecture="llama",
        revision=revision,
    )
    async with services.transactions.begin() as store:
        await store.base_models.put(model)
    try:
        yield model
    finally:
        async with services.transactions.begin() as store:
            await store.base_models.delete([model.id])
        await services.storage.delete(f"models/{model.id}/")


async def stored(services: Services, model_id: str = MODEL_ID) -> BaseModel:
    """The record of a base model."""
    async with services.transactions.read() as store:
        model = await store.base_models.by_model_id(model_id)
    assert model is not None
    return model
