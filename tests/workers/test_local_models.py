"""Base models that an operator adds, lists and removes: nothing is kept of one that is refused or broken off."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from domain.base_models import ModelSource
from domain.errors import Conflict, Invalid
from domain.jobs import JobType
from domain.ports.model_importer import ImportedModel, PackagedModel
from domain.services import Services
from domain.use_cases import local_models
from tests.base_models import stored
from tests.clients import Api
from tests.fakes.trainer import FakeTrainer
from tests.finetuning import create_finetune, new_dataset, new_project
from workers import finetunes
from workers.dispatcher import Dispatcher

pytestmark = pytest.mark.anyio

NAME = "acme/support"
WEIGHTS = b"weights"
IMPORTED = ImportedModel(
    base_architecture="llama",
    architecture="LlamaForCausalLM",
    num_parameters=1000,
    vocab_size=100,
    max_position_embeddings=512,
    license="mit",
    warnings=("The weights were dequantized from Q4_1.",),
)


@dataclass
class FakeImporter:
    """Writes small files in the place of a model's; `error` is raised after them, and `imported` is the result."""

    imported: ImportedModel = IMPORTED
    error: BaseException | None = None

    def packaged(self, model_id: str) -> PackagedModel | None:  # noqa: ARG002
        return None

    async def import_model(self, source: Path, folder: Path) -> ImportedModel:  # noqa: ARG002
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").write_bytes(WEIGHTS)
        if self.error is not None:
            raise self.error
        return self.imported


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "Model v1 (final).gguf"
    path.write_bytes(WEIGHTS)
    return path


@pytest.fixture
async def services(services: Services) -> AsyncIterator[Services]:
    services = replace(services, model_importer=FakeImporter())
    yield services
    async with services.transactions.begin() as store:
        models = await store.base_models.all()
        added = [
            model.id
            for model in models
            if model.source is ModelSource.LOCAL and "/tiny" not in model.model_id
        ]
        await store.base_models.delete(added)


async def add(services: Services, source: Path, name: str | None = NAME) -> str:
    return (await local_models.add(services, source, name, lambda _text: None)).id


async def keys(services: Services) -> list[str]:
    return [found.key for found in await services.storage.keys("models/")]


async def test_an_added_model_is_listed_trained_and_kept_in_the_bucket(
    api: Api, services: Services, source: Path, trainer: FakeTrainer
) -> None:
    id = await add(services, source)
    model = await stored(services, NAME)
    assert (model.source, model.license, model.num_parameters) == (ModelSource.LOCAL, "mit", 1000)
    assert model.warnings == IMPORTED.warnings
    [listed] = [found for found in await local_models.listed(services) if found.base.id == id]
    assert (listed.is_on_disk, listed.is_in_bucket, listed.size_bytes) == (True, True, model.size_bytes)
    services.base_model_cache.delete(id)  # as on another machine
    project_id = await new_project(api)
    dataset_id = await new_dataset(services, api, project_id)
    made = await create_finetune(api, project_id, dataset_id, baseModelName=NAME)
    await Dispatcher(services, {JobType.FINETUNE: finetunes.handle}).work(made["job"]["id"])
    [run] = trainer.runs
    assert run.base_model_sha256 == model.sha256
    assert run.base_model_folder is not None
    assert (run.base_model_folder / "model.safetensors").read_bytes() == WEIGHTS
    with pytest.raises(Conflict, match=f"is used by the fine-tunes {run.model_name}; delete them first"):
        await local_models.remove(services, NAME)
    assert await stored(services, NAME) == replace(
        model, last_used_at=(await stored(services, NAME)).last_used_at
    )


async def test_a_model_without_a_name_has_that_of_its_file(services: Services, source: Path) -> None:
    await add(services, source, None)
    assert (await stored(services, "Model-v1-final")).name == "Model-v1-final"


async def test_a_removed_model_leaves_nothing(services: Services, source: Path, clean: None) -> None:  # noqa: ARG001
    id = await add(services, source)
    await local_models.remove(services, NAME)
    assert not [key for key in await keys(services) if id in key]
    assert id not in services.base_model_cache.ids()
    async with services.transactions.read() as store:
        assert await store.base_models.by_model_id(NAME) is None


async def test_the_toy_is_never_removed(services: Services) -> None:
    with pytest.raises(Conflict, match="is a part of Luthier"):
        await local_models.remove(services, "luthier/tiny")


@pytest.mark.parametrize("name", ["", "two words", "../up", "a/b/c", "x" * 97])
async def test_a_malformed_name_is_refused(services: Services, source: Path, name: str) -> None:
    with pytest.raises(Invalid, match="is the name of a model"):
        await add(services, source, name)


async def test_a_name_that_is_taken_is_refused(services: Services, source: Path) -> None:
    await add(services, source)
    before = await keys(services)
    with pytest.raises(Conflict, match="There is a base model 'acme/support' already"):
        await add(services, source)
    assert await keys(services) == before


@pytest.mark.parametrize(
    ("importer", "error"),
    [
        (FakeImporter(error=Invalid("It is damaged.")), Invalid),
        (FakeImporter(error=asyncio.CancelledError()), asyncio.CancelledError),
        (FakeImporter(replace(IMPORTED, architecture="OddForCausalLM")), Invalid),
    ],
    ids=["refused", "interrupted", "unknown architecture"],
)
async def test_nothing_is_kept_of_a_model_that_is_refused(
    services: Services, source: Path, importer: FakeImporter, error: type[BaseException]
) -> None:
    before = await keys(services)
    with pytest.raises(error):
        await add(replace(services, model_importer=importer), source)
    assert await keys(services) == before
    assert services.base_model_cache.ids() == []
    assert services.base_model_cache.abandoned() == []


async def test_what_a_killed_process_has_left_is_deleted_by_the_next_command(
    services: Services, source: Path
) -> None:
    cache = services.base_model_cache
    (cache.partial("model_01kg00000000000000000000zz") / "config.json").write_text("{}")

    async def half() -> AsyncIterator[bytes]:
        yield b"half"

    key = "models/model_01kg00000000000000000000zz/config.json"
    await services.storage.write(key, half(), "application/json")
    assert cache.abandoned() == ["model_01kg00000000000000000000zz"]
    await add(services, source)
    assert key not in await keys(services)
    assert cache.abandoned() == []
