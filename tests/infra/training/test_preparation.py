"""What is counted and told before the first optimizer step."""

from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from domain.job_events import Metric
from domain.ports.trainer import ItemsPrepared, TrainingFailed, TrainingMessage, TrainingRun
from infra.training.trainer import ProcessTrainer
from tests.infra.training.conftest import HYPERPARAMETERS, Table, run_in

pytestmark = pytest.mark.anyio

TOO_LONG = ("退货政策说明如下。客户在收到商品之日起七日内可以申请无理由退货。" * 25, "七日内可以退货。")
"""Fewer than 1,000 characters of prompt, and more than 2,048 tokens of `luthier/tiny`."""
SHORT = ("短", "好")


def run_on(folder: Path, *rows: tuple[str, str]) -> TrainingRun:
    hyperparameters = replace(HYPERPARAMETERS, num_epochs=1, max_seq_length=2048, lora_r=4)
    return run_in(folder, Table(rows), hyperparameters=hyperparameters)


async def until_first_step(models: Path, run: TrainingRun) -> tuple[list[TrainingMessage], str | None]:
    """The messages until the first optimizer step is measured, and why the run failed before it, if it did."""
    seen: list[TrainingMessage] = []
    try:
        async with aclosing(ProcessTrainer(models).train(run)) as messages:
            async for message in messages:
                seen.append(message)
                if isinstance(message, Metric):
                    break
    except TrainingFailed as error:
        return seen, str(error)
    return seen, None


async def test_items_whose_answer_is_beyond_the_limit_are_left_out_and_counted_before_the_first_step(
    models: Path, tmp_path: Path
) -> None:
    messages, error = await until_first_step(models, run_on(tmp_path, *[TOO_LONG] * 4, SHORT))
    assert error is None
    assert isinstance(messages[-1], Metric)
    prepared = [message for message in messages if isinstance(message, ItemsPrepared)]
    assert [replace(message, base_model_sha256=None) for message in prepared] == [
        ItemsPrepared(
            trained_item_count=1,
            warnings=("4 training items were left out: their prompt alone fills 2048 tokens.",),
        )
    ]


async def test_a_run_in_which_no_answer_is_left_fails_before_the_first_step(
    models: Path, tmp_path: Path
) -> None:
    messages, error = await until_first_step(models, run_on(tmp_path, TOO_LONG))
    assert error == "No item can be trained on: no answer fits into 2048 tokens with its prompt."
    assert not [message for message in messages if isinstance(message, Metric)]
    prepared = [message for message in messages if isinstance(message, ItemsPrepared)]
    assert [replace(message, base_model_sha256=None) for message in prepared] == [
        ItemsPrepared(
            trained_item_count=0,
            warnings=("1 training item was left out: its prompt alone fills 2048 tokens.",),
        )
    ]
