import asyncio
import fcntl
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from domain.job_events import Checkpoint, LogLine, Metric, Progress
from domain.ports.trainer import TrainingFailed, TrainingMessage, TrainingRun
from domain.training_points import TrainingPoint
from infra.training.frozen_run import FrozenRun
from infra.training.tiny import ensure_model
from infra.training.trainer import ProcessTrainer
from infra.training.training_history import latest_checkpoint
from tests.fakes.trainer import AT
from tests.infra.training.conftest import Trained, messages_of, small_dpo_run, small_run

pytestmark = pytest.mark.anyio

# A worker that trains until it is killed.
WORKER = """
import asyncio, sys
from pathlib import Path
from infra.training.trainer import ProcessTrainer
from tests.infra.training.conftest import small_run

async def main():
    async for message in ProcessTrainer(Path(sys.argv[1])).train(small_run(Path(sys.argv[2]))):
        print(type(message).__name__, flush=True)

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def trainer(models: Path) -> ProcessTrainer:
    """A trainer that has `small_base` in its folder, a base model without a chat template."""
    base_model = models / "small_base"
    shutil.copytree(ensure_model(models), base_model)
    (base_model / "chat_template.jinja").unlink()
    return ProcessTrainer(models)


def run_of_small_base(trainer: ProcessTrainer, folder: Path) -> TrainingRun:
    return replace(small_run(folder, "small/base"), base_model_folder=trainer.models_folder / "small_base")


@pytest.fixture(scope="module")
def uninterrupted(trainer: ProcessTrainer, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A run that nothing interrupts, to compare an interrupted one with."""
    run = run_of_small_base(trainer, tmp_path_factory.mktemp("whole"))
    return Trained(run, asyncio.run(messages_of(trainer, run)), [])


def curve(messages: list[TrainingMessage]) -> list[TrainingPoint]:
    """The points without their times."""
    points = (message.point for message in messages if isinstance(message, Metric))
    return [replace(point, at=AT) for point in points]


def first_step(messages: list[TrainingMessage]) -> str:
    """The first step that an attempt reports as its progress."""
    return next(
        message.message
        for message in messages
        if isinstance(message, Progress) and message.message.startswith("Training: step")
    )


def training_process(folder: Path) -> psutil.Process:
    (found,) = (
        process
        for process in psutil.process_iter(["cmdline"])
        if (process.info["cmdline"] or [])[1:] == ["-P", "-m", "infra.training.process", str(folder)]
    )
    return found


async def until(messages: AsyncIterator[TrainingMessage], step: int) -> list[TrainingMessage]:
    """The messages until `step` is measured."""
    seen = []
    async for message in messages:
        seen.append(message)
        if isinstance(message, Metric) and message.point.step == step:
            break
    return seen


async def killed_at_step_4(trainer: ProcessTrainer, run: TrainingRun) -> list[TrainingMessage]:
    """The messages of an attempt whose process is killed when it has saved a checkpoint at step 4."""
    messages: list[TrainingMessage] = []
    with pytest.raises(TrainingFailed, match="was killed; most likely"):  # noqa: PT012 - one attempt
        async for message in trainer.train(run):
            messages.append(message)
            if isinstance(message, Checkpoint) and message.step == 4:
                training_process(run.folder).kill()
    return messages


async def test_a_base_model_without_a_template_gets_chatml_and_the_user_a_warning(
    uninterrupted: Trained,
) -> None:
    (warning,) = uninterrupted.prepared.warnings
    assert warning.startswith("The base model brings no chat template")
    assert warning in (uninterrupted.run.folder / "artifacts" / "report.md").read_text()
    assert uninterrupted.result.parity is not None
    assert (uninterrupted.result.parity.template_matches, uninterrupted.result.parity.token_ids_match) == (
        True,
        True,
    )


async def test_held_out_items_are_evaluated_each_epoch_and_shown(uninterrupted: Trained) -> None:
    evaluated = [metric.point for metric in uninterrupted.metrics if metric.point.eval_loss is not None]
    assert [(point.step, point.epoch) for point in evaluated] == [(2, 1), (4, 2), (6, 3), (8, 4), (10, 5)]
    assert all((point.perplexity or 0) > 1 for point in evaluated)
    assert uninterrupted.result.samples_held_out
    assert [sample.prompt for sample in uninterrupted.result.samples] == [
        "What is the capital of Poland?",
        "What is the capital of Hungary?",
    ]


async def test_a_killed_run_resumes_with_exactly_the_same_curve(
    uninterrupted: Trained, trainer: ProcessTrainer, tmp_path: Path
) -> None:
    run = run_of_small_base(trainer, tmp_path)
    assert isinstance((await killed_at_step_4(trainer, run))[-1], LogLine)
    second = await messages_of(trainer, run)
    assert curve(second) == curve(uninterrupted.messages)  # the checkpoint's history is reported again
    assert first_step(second) == "Training: step 5 of 10"
    assert (tmp_path / "artifacts" / "report.md").exists()


async def test_a_killed_dpo_run_resumes_with_exactly_the_same_curve(
    trainer: ProcessTrainer, tmp_path: Path
) -> None:
    whole = await messages_of(trainer, small_dpo_run(tmp_path / "whole"))
    run = small_dpo_run(tmp_path / "killed")
    await killed_at_step_4(trainer, run)
    resumed = await messages_of(trainer, run)
    assert curve(resumed) == curve(whole)
    assert [point.step for point in curve(whole)] == [1, 2, 2, 3, 4, 4, 5, 6, 6, 7, 8, 8, 9, 10, 10]
    assert first_step(resumed) == "Training: step 5 of 10"


async def test_cancelling_a_dpo_run_saves_a_checkpoint(trainer: ProcessTrainer, tmp_path: Path) -> None:
    run = small_dpo_run(tmp_path)
    async with aclosing(trainer.train(run)) as messages:
        await until(messages, step=3)
    newest = latest_checkpoint(FrozenRun.of(run, trainer.models_folder).work_folder)
    assert newest is not None
    assert int(newest.name.removeprefix("checkpoint-")) >= 3


async def test_cancelling_saves_a_checkpoint_and_ends_the_process(
    trainer: ProcessTrainer, tmp_path: Path
) -> None:
    run = small_run(tmp_path)
    async with aclosing(trainer.train(run)) as messages:
        await until(messages, step=3)
        process = training_process(tmp_path)
    assert not process.is_running()
    newest = latest_checkpoint(FrozenRun.of(run, trainer.models_folder).work_folder)
    assert newest is not None
    assert int(newest.name.removeprefix("checkpoint-")) >= 3


async def test_the_process_saves_and_ends_when_its_worker_dies(
    trainer: ProcessTrainer, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", WORKER, str(trainer.models_folder), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:  # noqa: ASYNC220
        assert worker.stdout is not None
        next(line for line in worker.stdout if line == "Metric\n")
        process = training_process(tmp_path)
        worker.kill()
    assert await asyncio.to_thread(psutil.wait_procs, [process], 30) == ([process], [])
    run = small_run(tmp_path)
    assert latest_checkpoint(FrozenRun.of(run, trainer.models_folder).work_folder) is not None


async def test_a_second_attempt_waits_until_the_first_has_ended(
    trainer: ProcessTrainer, tmp_path: Path
) -> None:
    run = small_run(tmp_path)
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        async with aclosing(trainer.train(run)) as messages:
            first = [await anext(messages), await anext(messages)]
    assert first == [Progress(0.0, "Starting"), Progress(0.0, "Waiting for the previous attempt to end")]


async def test_a_process_that_does_not_stop_is_killed_after_the_timeout(
    trainer: ProcessTrainer, tmp_path: Path
) -> None:
    run = small_run(tmp_path)
    async with aclosing(ProcessTrainer(trainer.models_folder, stop_timeout_s=0.1).train(run)) as messages:
        await anext(messages)
        process = training_process(tmp_path)
        process.suspend()
    assert not process.is_running()
