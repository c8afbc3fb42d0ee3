"""The files of base models, which a worker has on its disk before a training: from there, the bucket or the hub."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from app.settings import Settings
from domain.base_models import BaseModel, HubLimits
from domain.finetunes import Finetune
from domain.jobs import JobType
from domain.services import Services
from tests.base_models import FILES, MODEL_ID, WEIGHTS, hub_model, stored, with_hub
from tests.clients import Api
from tests.fakes.hub import Access, FakeHub, contents
from tests.fakes.trainer import FakeTrainer
from tests.finetuning import create_finetune, new_dataset, new_project
from workers import finetunes
from workers.dispatcher import Dispatcher, RetryableError

pytestmark = pytest.mark.anyio

TRAINED = {"config.json", "tokenizer.json", "model.safetensors"}
PICKLE = (
    "The repository some-one/small has its weights as pickle, which can run code when it is read; only safetensors and "
    "GGUF are used."
)
CODE = "The base model some-one/small names Python code of its own (auto_map), which is never run here."

FETCH = """
import asyncio, sys
from app.settings import read_settings
from app.wiring import wire
from domain.use_cases.base_model_files import Pin, on_disk
from infra.hub import HuggingFaceHub
from infra.base_model_files import DiskBaseModelCache
from dataclasses import replace
from pathlib import Path

async def report(text, present, size):
    print(present, flush=True)

async def main(url, folder, model_id):
    async with wire(read_settings()) as wiring:
        services = replace(
            wiring.services, hub=HuggingFaceHub(url, None), base_model_cache=DiskBaseModelCache(Path(folder))
        )
        async with services.transactions.read() as store:
            base = await store.base_models.by_model_id(model_id)
        async with on_disk(services, base, Pin(), report):
            pass

asyncio.run(main(*sys.argv[1:]))
"""


@dataclass
class Training:
    """Trains fine-tunes of one base model, by workers that have its files or not."""

    api: Api
    services: Services
    trainer: FakeTrainer

    async def begin(self, model_id: str = MODEL_ID) -> tuple[str, str]:
        """The ids of a planned fine-tune, and of its job."""
        project_id = await new_project(self.api)
        dataset_id = await new_dataset(self.services, self.api, project_id)
        made = await create_finetune(self.api, project_id, dataset_id, baseModelName=model_id)
        return made["finetune"]["id"], made["job"]["id"]

    async def work(self, job_id: str, services: Services | None = None) -> None:
        """One attempt."""
        dispatcher = Dispatcher(services or self.services, {JobType.FINETUNE: finetunes.handle})
        await dispatcher.work(job_id)

    async def train(self, services: Services | None = None, model_id: str = MODEL_ID) -> Finetune:
        """The fine-tune after one attempt."""
        id, job_id = await self.begin(model_id)
        await self.work(job_id, services)
        return await self.finetune(id)

    async def finetune(self, id: str) -> Finetune:
        async with self.services.transactions.read() as store:
            found = await store.finetunes.get(id, viewer_id=self.api.user_id)
        assert found is not None
        return found


@pytest.fixture
def services(services: Services, hub: FakeHub, tmp_path: Path) -> Services:
    return with_hub(services, hub, tmp_path / "models")


@pytest.fixture
async def training(api: Api, services: Services, trainer: FakeTrainer) -> Training:
    return Training(api, services, trainer)


@pytest.fixture
async def base(services: Services) -> AsyncIterator[BaseModel]:
    async with hub_model(services) as model:
        yield model


def other_worker(services: Services, folder: Path) -> Services:
    """A worker on another machine, which reaches no hub."""
    return with_hub(services, FakeHub(), folder)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def test_the_files_are_fetched_at_a_commit_that_model_and_fine_tune_record(
    training: Training, base: BaseModel, hub: FakeHub
) -> None:
    repository = hub.add(MODEL_ID, FILES | {"pytorch_model.bin": b"pickle", "run.py": "exit()"})
    made = await training.train()
    (run,) = training.trainer.runs
    assert run.base_model_folder is not None
    assert names(run.base_model_folder) == TRAINED | {"manifest.json"}
    assert (run.base_model_folder / "model.safetensors").read_bytes() == WEIGHTS
    model = await stored(training.services)
    assert made.status == "DONE"
    assert made.base_model_revision == run.base_model_revision == model.revision == repository.revision
    assert made.base_model_sha256 == run.base_model_sha256 == model.sha256
    assert model.last_used_at is not None
    assert model.size_bytes is not None
    assert model.size_bytes > len(WEIGHTS)
    assert {request.path.rpartition("/")[2] for request in hub.requests}.isdisjoint(
        {"pytorch_model.bin", "run.py", "README.md"}
    )
    keys = await training.services.storage.keys(f"models/{base.id}/")
    assert {stored.key.rpartition("/")[2] for stored in keys} == TRAINED | {"manifest.json"}


async def test_a_fetch_shows_how_much_of_the_files_is_there(
    training: Training, base: BaseModel, hub: FakeHub
) -> None:
    hub.add(base.model_id, FILES)
    _, job_id = await training.begin()
    await training.work(job_id)
    messages = [
        recorded.event.message
        async for recorded in training.services.job_streams.events(job_id)
        if hasattr(recorded.event, "message")
    ]
    assert "Fetching some-one/small: 3 of 3 MB" in messages


async def test_a_second_training_reads_what_is_on_the_disk(
    training: Training, base: BaseModel, hub: FakeHub
) -> None:
    hub.add(base.model_id, FILES)
    first = await training.train()
    asked = len(hub.requests)
    second = await training.train()
    assert (second.status, second.base_model_sha256) == ("DONE", first.base_model_sha256)
    assert len(hub.requests) == asked


async def test_another_worker_has_the_files_from_the_bucket(
    training: Training, base: BaseModel, hub: FakeHub, tmp_path: Path
) -> None:
    hub.add(base.model_id, FILES)
    first = await training.train()
    second = await training.train(other_worker(training.services, tmp_path / "other"))
    assert (second.status, second.base_model_sha256) == ("DONE", first.base_model_sha256)
    assert (tmp_path / "other" / base.id / "model.safetensors").read_bytes() == WEIGHTS


async def test_files_that_are_damaged_in_the_bucket_or_on_the_disk_are_fetched_again(
    training: Training, base: BaseModel, hub: FakeHub, tmp_path: Path
) -> None:
    hub.add(base.model_id, FILES)
    await training.train()

    async def half() -> AsyncIterator[bytes]:
        yield WEIGHTS[:-1] + b"?"

    key = f"models/{base.id}/model.safetensors"
    await training.services.storage.write(key, half(), "application/octet-stream")
    (training.services.base_model_cache.folder(base.id) / "model.safetensors").write_bytes(WEIGHTS[:99])
    made = await training.train()
    assert made.status == "DONE"
    path = training.services.base_model_cache.folder(base.id) / "model.safetensors"
    assert path.read_bytes() == WEIGHTS
    intact = await training.train(with_hub(training.services, hub, tmp_path / "third"))
    assert intact.status == "DONE"


async def test_a_fine_tune_that_began_with_other_weights_is_refused(
    training: Training, base: BaseModel, hub: FakeHub
) -> None:
    hub.add(base.model_id, FILES)
    id, job_id = await training.begin()
    async with training.services.transactions.begin() as store:
        await store.finetunes.change(id, {"base_model_sha256": "ab" * 32})
    await training.work(job_id)
    made = await training.finetune(id)
    assert made.status == "FAILED"
    assert made.error is not None
    assert made.error.startswith(
        "The weights of the base model some-one/small are not the ones that this fine-tune began with (SHA-256 "
    )
    assert training.trainer.runs == []


async def test_the_recorded_commit_is_fetched_and_not_a_newer_one(
    training: Training, services: Services, hub: FakeHub
) -> None:
    repository = hub.add(MODEL_ID, FILES)
    before = repository.revision
    repository.commit(contents(FILES | {"model.safetensors": b"newer weights"}))
    async with hub_model(services, revision=before):
        made = await training.train()
    assert made.base_model_revision == before
    (run,) = training.trainer.runs
    assert run.base_model_folder is not None
    assert (run.base_model_folder / "model.safetensors").read_bytes() == WEIGHTS


@pytest.mark.parametrize(
    ("files", "error"),
    [
        ({"config.json": {}, "pytorch_model.bin": b"pickle"}, PICKLE),
        (FILES | {"config.json": {"auto_map": {"AutoModel": "code.Model"}}}, CODE),
        (FILES | {"tokenizer_config.json": {"auto_map": {"AutoTokenizer": "code.Tokenizer"}}}, CODE),
    ],
    ids=["pickle", "code of the model", "code of the tokenizer"],
)
async def test_a_repository_that_could_run_code_is_refused(
    training: Training, base: BaseModel, hub: FakeHub, files: dict[str, Any], error: str
) -> None:
    hub.add(base.model_id, files)
    made = await training.train()
    assert (made.status, made.error) == ("FAILED", error)
    assert await training.services.storage.keys(f"models/{base.id}/") == []
    assert training.services.base_model_cache.ids() == []


async def test_a_gated_model_says_how_to_get_access(
    training: Training, base: BaseModel, hub: FakeHub
) -> None:
    hub.add(base.model_id, FILES, access=Access.GATED)
    made = await training.train()
    assert made.status == "FAILED"
    assert made.error is not None
    assert "HF_TOKEN" in made.error


async def test_models_above_the_limit_are_not_fetched(
    training: Training, base: BaseModel, hub: FakeHub
) -> None:
    hub.add(base.model_id, FILES)
    limits = HubLimits(enabled=True, max_bytes=1_000_000)
    made = await training.train(replace(training.services, hub_limits=limits))
    assert (made.status, made.error) == (
        "FAILED",
        "The base model some-one/small has 0.00307 GB; at most 0.001 GB are fetched here (MAX_MODEL_GB).",
    )
    fetched = [request for request in hub.requests if request.path.endswith("model.safetensors")]
    assert all(
        request.range is not None for request in fetched
    )  # its header alone, for the number of weights


async def test_without_hub_models_none_is_fetched(training: Training, base: BaseModel, hub: FakeHub) -> None:
    hub.add(base.model_id, FILES)
    limits = HubLimits(enabled=False, max_bytes=10**9)
    made = await training.train(replace(training.services, hub_limits=limits))
    assert made.status == "FAILED"
    assert made.error is not None
    assert "HUB_MODELS=off" in made.error
    assert hub.requests == []


async def test_a_fetch_that_broke_off_goes_on_where_it_ended(
    training: Training, base: BaseModel, hub: FakeHub
) -> None:
    hub.add(base.model_id, FILES)
    hub.truncated.add("model.safetensors")
    id, job_id = await training.begin()
    with pytest.raises(RetryableError):
        await training.work(job_id)
    assert training.services.base_model_cache.ids() == []
    hub.truncated.clear()
    await training.work(job_id)
    assert (await training.finetune(id)).status == "DONE"
    assert hub.requests[-1].range == "bytes=1048576-"
    folder = training.services.base_model_cache.folder(base.id)
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS


async def test_a_hub_that_is_away_is_asked_again_later(
    training: Training, base: BaseModel, hub: FakeHub
) -> None:
    hub.add(base.model_id, FILES)
    hub.status = 503
    _, job_id = await training.begin()
    with pytest.raises(RetryableError):
        await training.work(job_id)
    hub.status = None
    await training.work(job_id)
    assert len(training.trainer.runs) == 1


async def test_cancelling_a_job_stops_its_fetch(training: Training, base: BaseModel, hub: FakeHub) -> None:
    hub.add(base.model_id, FILES)
    hub.stalled.add("model.safetensors")
    id, job_id = await training.begin()
    working = asyncio.create_task(training.work(job_id))
    async for recorded in training.services.job_streams.events(job_id):
        if getattr(recorded.event, "message", "").startswith("Fetching"):
            break
    await training.api.mutate("cancelJob", "job { status }", id=job_id)
    await working
    assert (await training.finetune(id)).status == "ABORTED"
    assert training.services.base_model_cache.ids() == []
    assert await training.services.storage.keys(f"models/{base.id}/") == []


async def test_a_worker_that_is_killed_in_a_fetch_leaves_nothing_and_the_next_one_goes_on(
    training: Training, base: BaseModel, hub: FakeHub, settings: Settings, tmp_path: Path
) -> None:
    assert settings.database_url
    hub.add(base.model_id, FILES)
    hub.stalled.add("model.safetensors")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-c", FETCH, hub.url, str(tmp_path / "models"), base.model_id,
        stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert process.stdout is not None
    while int(await process.stdout.readline()) < 30:  # the small files are there
        pass
    process.send_signal(signal.SIGKILL)
    await process.wait()
    cache = training.services.base_model_cache
    assert (cache.ids(), cache.abandoned()) == ([], [base.id])
    assert await training.services.storage.keys(f"models/{base.id}/") == []
    hub.stalled.clear()
    hub.released.set()
    made = await training.train()
    assert made.status == "DONE"
    assert names(cache.folder(base.id)) == TRAINED | {"manifest.json"}
    assert cache.abandoned() == []


async def test_models_that_nobody_uses_leave_disk_and_bucket_the_least_recently_used_first(
    training: Training, services: Services, hub: FakeHub
) -> None:
    small = {**FILES, "model.safetensors": b"weights" * 100_000}
    limited = replace(services, hub_limits=HubLimits(enabled=True, max_bytes=1_800_000))
    cache = services.base_model_cache
    async with (
        hub_model(services, "some-one/a") as a,
        hub_model(services, "some-one/b") as b,
        hub_model(services, "some-one/c") as c,
    ):
        for model in (a, b, c):
            hub.add(model.model_id, small)
        await training.train(limited, a.model_id)
        await training.train(limited, b.model_id)
        await training.train(limited, a.model_id)
        made = await training.train(limited, c.model_id)
        assert made.status == "DONE"
        assert set(cache.ids()) == {a.id, c.id}
        assert await services.storage.keys(f"models/{b.id}/") == []
        assert (await stored(services, b.model_id)).size_bytes is None
        assert await services.storage.keys(f"models/{a.id}/") != []


async def test_a_model_that_a_training_reads_stays(
    training: Training, services: Services, hub: FakeHub
) -> None:
    hub.add(MODEL_ID, FILES)
    cache = services.base_model_cache
    async with hub_model(services) as base:
        await training.train()
        async with cache.reading(base.id):
            assert cache.evict(0, keep="") == []
        assert cache.evict(0, keep="") == [base.id]
        assert cache.ids() == []
