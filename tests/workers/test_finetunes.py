"""Training jobs, with a trainer that needs no torch."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from domain.finetunes import InferenceSample, ParityReport
from domain.job_events import LogLine, Metric, Progress
from domain.jobs import Job, JobType, Superseded
from domain.ports.trainer import ItemsPrepared, TrainingMessage
from domain.services import Services
from domain.training_points import TrainingPoint
from domain.use_cases import job_lifecycle
from tests.clients import Api
from tests.conftest import Worker
from tests.fakes.trainer import AT, FakeTrainer
from tests.finetuning import (
    CAPITALS,
    create_finetune,
    fetch_finetune,
    new_dataset,
    new_preference_dataset,
    new_project,
    trained_finetune,
)
from workers import finetunes
from workers.dispatcher import Dispatcher

pytestmark = pytest.mark.anyio

SIXTY = [(f"Question {number}?", f"Answer {number}") for number in range(60)]


async def start(services: Services, api: Api, rows: Any = CAPITALS, **given: Any) -> tuple[str, str]:
    """The ids of a planned fine-tune and of its job."""
    project_id = await new_project(api)
    made = await create_finetune(api, project_id, await new_dataset(services, api, project_id, rows), **given)
    return made["finetune"]["id"], made["job"]["id"]


async def work(services: Services, job_id: str, messages: list[TrainingMessage], **result: Any) -> None:
    """Run a job to its end, with a training process that sends these messages."""
    scripted = replace(services, trainer=FakeTrainer(messages, **result))
    await Dispatcher(scripted, {JobType.FINETUNE: finetunes.handle}).work(job_id)


async def begin(services: Services, job_id: str) -> Job:
    async with services.transactions.begin() as store:
        job = await job_lifecycle.start(store, job_id)
    assert job is not None
    return job


@asynccontextmanager
async def training(
    worker: Worker, services: Services, trainer: FakeTrainer, job_id: str
) -> AsyncIterator[None]:
    """A training that is under way inside the block and has reported everything but its result."""
    trainer.may_end.clear()
    draining = asyncio.create_task(worker.drain())
    try:
        async for recorded in services.job_streams.events(job_id):
            if recorded.event == LogLine("trained"):
                break
        yield
    finally:
        trainer.may_end.set()
        await draining


async def test_the_training_process_is_given_the_frozen_items_and_the_run(
    api: Api, services: Services, worker: Worker, trainer: FakeTrainer
) -> None:
    id, job_id = await start(services, api, SIXTY, seed=5)
    async with training(worker, services, trainer, job_id):
        (run,) = trainer.runs
        items = [json.loads(line) for line in run.items_path.read_text().splitlines()]
    found = await fetch_finetune(
        api, id, "trainedItemCount modelName trainedItems(first: 100) { nodes { id } }"
    )
    assert (run.finetune_id, run.model_name, run.seed) == (id, found["modelName"], 5)
    assert (run.name, run.version) == (found["modelName"], 1)
    assert (run.dataset_name, run.dataset_version) == ("Capitals", 1)
    assert (run.base_model_name, run.base_model_license) == ("luthier/tiny", "apache-2.0")
    assert [
        tuple(message["content"] for message in item["conversation"]["messages"]) for item in items
    ] == SIXTY
    learned = [item["id"] for item in items if item["split"] == "TRAIN"]
    assert learned == [node["id"] for node in found["trainedItems"]["nodes"]]
    assert len(learned) == found["trainedItemCount"] < 60


async def test_the_training_process_is_given_the_pairs_of_a_dpo_run(
    api: Api, services: Services, worker: Worker, trainer: FakeTrainer
) -> None:
    project_id = await new_project(api)
    dataset_id = await new_preference_dataset(services, api, project_id)
    given = {"objective": "DPO", "hyperparameters": {"beta": 0.5}}
    made = await create_finetune(api, project_id, dataset_id, **given)
    async with training(worker, services, trainer, made["job"]["id"]):
        (run,) = trainer.runs
        items = [json.loads(line) for line in run.items_path.read_text().splitlines()]
    assert (run.objective, run.item_format, run.hyperparameters.beta) == ("DPO", "PREFERENCE", 0.5)
    assert [item.keys() for item in items] == [{"id", "split", "preference"}] * 2
    assert items[0]["preference"] == {
        "input": {"messages": [{"role": "user", "content": "Greet me."}]},
        "preferred": {"role": "assistant", "content": "Good morning!"},
        "non_preferred": {"role": "assistant", "content": "What?"},
    }


async def test_the_curve_of_a_dpo_run_has_its_rewards(api: Api, services: Services) -> None:
    project_id = await new_project(api)
    dataset_id = await new_preference_dataset(services, api, project_id)
    made = await create_finetune(api, project_id, dataset_id, objective="DPO")
    point = TrainingPoint(
        step=1, epoch=1.0, train_loss=0.5, token_accuracy=0.75, reward_margin=0.25, reward_accuracy=1.0, at=AT
    )
    await work(services, made["job"]["id"], [Metric(point, total_steps=1)])
    fields = "{ trainLoss perplexity tokenAccuracy rewardMargin rewardAccuracy }"
    found = await fetch_finetune(api, made["finetune"]["id"], f"history {{ nodes {fields} }}")
    shown = {
        "trainLoss": 0.5, "perplexity": None, "tokenAccuracy": 0.75, "rewardMargin": 0.25, "rewardAccuracy": 1.0,
    }  # fmt: skip
    assert found["history"]["nodes"] == [shown]
    events = await api.gql(
        f"query($id: ID!) {{ job(id: $id) {{ events {{ nodes {{ ... on MetricEvent {{ point {fields} }} }} }} }} }}",
        id=made["job"]["id"],
    )
    assert {"point": shown} in events["job"]["events"]["nodes"]


async def test_a_run_shows_its_progress_while_it_trains(
    api: Api, services: Services, worker: Worker, trainer: FakeTrainer
) -> None:
    id, job_id = await start(services, api)
    async with training(worker, services, trainer, job_id):
        found = await fetch_finetune(
            api, id, "status progress currentStep recentLogs metrics { step } history { totalCount }"
        )
    assert found == {
        "status": "RUNNING",
        "progress": 0.1,
        "currentStep": "Training: step 1 of 2",
        "recentLogs": ["Training items: 3", "trained"],
        "metrics": {"step": 2},
        "history": {"totalCount": 2},
    }


async def test_the_files_of_a_run_are_in_storage_and_no_longer_on_the_worker(
    api: Api, services: Services, worker: Worker, trainer: FakeTrainer
) -> None:
    made = await trained_finetune(services, api, worker)
    stored = await services.storage.keys(f"finetunes/{made['id']}/")
    assert {file.key.rpartition("/")[2]: file.size for file in stored} == {
        "luthier_tiny_capitals_v1.gguf": 15,
        "training_config.json": 2,
    }
    assert not trainer.runs[0].folder.exists()
    job = await api.gql("query($id: ID!) { job(id: $id) { status result } }", id=made["job_id"])
    assert job["job"] == {
        "status": "SUCCESS",
        "result": {
            "model_name": "luthier/tiny_capitals_v1",
            "final_train_loss": 1.0,
            "training_time_seconds": 1.5,
            "parity_passed": True,
            "artifacts": ["luthier_tiny_capitals_v1.gguf", "training_config.json"],
        },
    }


async def test_a_training_that_fails_says_why_and_keeps_its_log(
    api: Api, services: Services, worker: Worker, trainer: FakeTrainer
) -> None:
    trainer.error = "The machine ran out of memory."
    id, _ = await start(services, api)
    await worker.drain()
    found = await fetch_finetune(
        api, id, "status error job { status error } recentLogs artifacts { filename }"
    )
    assert found == {
        "status": "FAILED",
        "error": "The machine ran out of memory.",
        "job": {"status": "FAILED", "error": "The machine ran out of memory."},
        "recentLogs": ["Training items: 3", "trained", "The machine ran out of memory."],
        "artifacts": [],
    }
    assert trainer.runs[0].folder.exists()  # its checkpoints are hours of work


@pytest.mark.parametrize("save", [True, False])
async def test_a_cancelled_training_keeps_its_checkpoint_unless_it_is_cancelled_without(
    api: Api, services: Services, worker: Worker, trainer: FakeTrainer, save: bool
) -> None:
    id, job_id = await start(services, api)
    async with training(worker, services, trainer, job_id):
        ended = await api.mutate("cancelFinetune", "finetune { status }", id=id, saveCheckpoint=save)
        assert ended["finetune"]["status"] == "ABORTED"
        await trainer.stopped.wait()
    found = await fetch_finetune(api, id, "status error job { status result } artifacts { filename }")
    job = {"status": "CANCELLED", "result": None}
    assert found == {"status": "ABORTED", "error": None, "job": job, "artifacts": []}
    assert trainer.runs[0].folder.exists() is save


async def test_deleting_the_project_ends_the_training_and_leaves_nothing(
    api: Api, services: Services, worker: Worker, trainer: FakeTrainer
) -> None:
    id, job_id = await start(services, api)
    project = await fetch_finetune(api, id, "project { id }")
    async with training(worker, services, trainer, job_id):
        await api.mutate("deleteProject", "deletedId", id=project["project"]["id"])
    assert not trainer.runs[0].folder.exists()
    assert await services.storage.keys(f"finetunes/{id}/") == []


async def test_a_superseded_worker_stops_and_keeps_the_checkpoints_for_the_next(
    api: Api, services: Services, trainer: FakeTrainer
) -> None:
    _, job_id = await start(services, api)
    first = await begin(services, job_id)
    await begin(services, job_id)
    with pytest.raises(Superseded):
        await finetunes.handle(services, first)
    assert trainer.stopped.is_set()
    assert trainer.runs[0].folder.exists()


async def test_a_second_run_after_a_crash_resumes_and_ends_the_same(
    api: Api, services: Services, trainer: FakeTrainer
) -> None:
    id, job_id = await start(services, api)
    trainer.error = "killed"
    with pytest.raises(Exception, match="killed"):
        await finetunes.handle(services, await begin(services, job_id))
    trainer.error = None
    result = await finetunes.handle(services, await begin(services, job_id))
    assert (await fetch_finetune(api, id, "history { totalCount }"))["history"]["totalCount"] == 2
    trained_before, folder = len(trainer.runs), trainer.runs[0].folder
    assert not folder.exists()
    again = await finetunes.handle(
        services, await begin(services, job_id)
    )  # the worker died before it ended the job
    assert again == result
    assert len(trainer.runs) == trained_before == 2


async def test_a_model_that_fails_parity_is_done_with_a_warning_and_an_error_in_the_log(
    api: Api, services: Services
) -> None:
    parity = ParityReport(
        passed=False,
        prompts_compared=3,
        template_matches=True,
        token_ids_match=False,
        outputs_matching=1,
        detail="prompt 2 has other tokens",
    )
    id, job_id = await start(services, api)
    await work(services, job_id, [], parity=parity, warnings=("The GGUF differs.",))
    found = await fetch_finetune(api, id, "status warnings recentLogs parity { passed detail }")
    assert found == {
        "status": "DONE",
        "warnings": ["The GGUF differs."],
        "recentLogs": [
            "ERROR: the GGUF does not answer as the fine-tuned model did: prompt 2 has other tokens",
            "Published.",
        ],
        "parity": {"passed": False, "detail": "prompt 2 has other tokens"},
    }


async def test_what_is_trained_on_is_counted_and_warned_of_before_the_first_step(
    api: Api, services: Services, worker: Worker, trainer: FakeTrainer
) -> None:
    left_out = "4 training items were left out: their prompt alone fills 2048 tokens."
    trainer.messages = [ItemsPrepared(trained_item_count=1, warnings=(left_out,)), LogLine("trained")]
    id, job_id = await start(services, api, SIXTY[:5])
    selection = "status trainedItemCount warnings recentLogs metrics { step }"
    before = await fetch_finetune(api, id, selection)
    assert (before["trainedItemCount"], before["warnings"]) == (5, [])
    async with training(worker, services, trainer, job_id):
        found = await fetch_finetune(api, id, selection)
    assert found == {
        "status": "RUNNING",
        "trainedItemCount": 1,
        "warnings": [left_out],
        "recentLogs": ["Training items: 1", f"Warning: {left_out}", "trained"],
        "metrics": None,
    }
    assert (await fetch_finetune(api, id, selection))["trainedItemCount"] == 1


async def test_warnings_that_come_up_later_follow_those_from_before_the_first_step(
    api: Api, services: Services
) -> None:
    id, job_id = await start(services, api)
    prepared = ItemsPrepared(trained_item_count=2, warnings=("One item was left out.",))
    await work(services, job_id, [prepared], warnings=("The GGUF differs.",))
    found = await fetch_finetune(api, id, "status trainedItemCount warnings")
    assert found == {
        "status": "DONE",
        "trainedItemCount": 2,
        "warnings": ["One item was left out.", "The GGUF differs."],
    }


async def test_a_second_attempt_replaces_the_count_and_the_warnings_of_the_first(
    api: Api, services: Services, trainer: FakeTrainer
) -> None:
    id, job_id = await start(services, api)
    trainer.messages = [ItemsPrepared(trained_item_count=1, warnings=("Counted by an older worker.",))]
    trainer.error = "killed"
    with pytest.raises(Exception, match="killed"):
        await finetunes.handle(services, await begin(services, job_id))
    await work(services, job_id, [ItemsPrepared(trained_item_count=3, warnings=("Counted anew.",))])
    found = await fetch_finetune(api, id, "trainedItemCount warnings")
    assert found == {"trainedItemCount": 3, "warnings": ["Counted anew."]}


async def test_many_quick_steps_are_stored_in_few_transactions(api: Api, services: Services) -> None:
    steps = [
        Metric(TrainingPoint(step=step, epoch=step / 500, train_loss=1 / step, at=AT), 500)
        for step in range(1, 501)
    ]
    progress = [Progress(step / 600, f"step {step}") for step in range(1, 501)]
    messages = [message for pair in zip(steps, progress, strict=True) for message in pair]
    id, job_id = await start(services, api)
    await work(services, job_id, [*messages])
    selection = (
        "history(first: 1) { totalCount } metrics { step } job { events(kinds: [PROGRESS]) { totalCount } }"
    )
    found = await fetch_finetune(api, id, selection)
    assert (found["history"]["totalCount"], found["metrics"]["step"]) == (500, 500)
    assert found["job"]["events"]["totalCount"] < 20


async def test_an_evaluation_and_a_step_are_one_point_whichever_comes_first(
    api: Api, services: Services
) -> None:
    step = Metric(TrainingPoint(step=1, epoch=1.0, train_loss=0.5, learning_rate=0.1, at=AT), 1)
    evaluation = Metric(TrainingPoint(step=1, epoch=1.0, eval_loss=0.7, perplexity=2.0, at=AT), 1)
    id, job_id = await start(services, api)
    await work(services, job_id, [step, evaluation])
    found = await fetch_finetune(
        api, id, "history { nodes { step trainLoss evalLoss perplexity learningRate } }"
    )
    assert found["history"]["nodes"] == [
        {"step": 1, "trainLoss": 0.5, "evalLoss": 0.7, "perplexity": 2.0, "learningRate": 0.1}
    ]


async def test_nul_characters_in_outputs_and_logs_are_replaced(api: Api, services: Services) -> None:
    sample = InferenceSample(prompt="q", expected="a", base_output="\x00", tuned_output="a\x00b")
    id, job_id = await start(services, api)
    await work(services, job_id, [LogLine("a\x00line")], samples=(sample,))
    found = await fetch_finetune(api, id, "status recentLogs inferenceSamples { baseOutput tunedOutput }")
    assert found["status"] == "DONE"
    assert found["recentLogs"][0] == "a\ufffdline"
    assert found["inferenceSamples"] == [{"baseOutput": "\ufffd", "tunedOutput": "a\ufffdb"}]


async def test_the_work_folder_of_a_fine_tune_can_be_deleted_twice(
    services: Services, tmp_path: Path
) -> None:
    folder = tmp_path / "work" / "finetune_1"
    folder.mkdir(parents=True)
    (folder / "checkpoint").touch()
    await finetunes.delete_work_folder(services, "finetune_1")
    await finetunes.delete_work_folder(services, "finetune_1")
    assert not folder.exists()
