"""Runs of the real training process, which take seconds."""

import asyncio
import csv
import io
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from domain.artifacts import ArtifactKind
from domain.base_models import LINEAR_LAYERS
from domain.conversations import ItemFormat
from domain.hyperparameters import FinetuneMethod, Hyperparameters, TrainingObjective
from domain.job_events import Metric, Progress
from domain.ports.trainer import ItemsPrepared, TrainingMessage, TrainingResult, TrainingRun
from infra.training import export
from infra.training.base_model import fetch_base_model
from infra.training.reporter import Reporter
from infra.training.trainer import ProcessTrainer
from tests.judges.gguf import assert_healthy

CAPITALS = Path(__file__).parents[3] / "examples" / "capitals.csv"

# Records the address of every connection of a Python process.
AUDIT = """
import os, sys
def record(event, arguments):
    if event == "socket.connect":
        with open(os.environ["CONNECTIONS"], "a") as file:
            file.write(f"{arguments[1]}\\n")
sys.addaudithook(record)
"""

HYPERPARAMETERS = Hyperparameters(
    num_epochs=20,
    learning_rate=3e-3,
    per_device_batch_size=8,
    gradient_accumulation_steps=1,
    max_seq_length=256,
    lora_r=32,
    lora_alpha=64,
    lora_dropout=0.0,
    target_modules=LINEAR_LAYERS,
    warmup_ratio=0.05,
    weight_decay=0.0,
)


def question_and_answer(question: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


@dataclass(frozen=True)
class Table:
    """Questions and answers, the last `held_out` of them held out."""

    rows: Sequence[tuple[str, str]]
    held_out: int = 0

    def write(self, path: Path) -> Path:
        splits = ["TRAIN"] * (len(self.rows) - self.held_out) + ["EVAL"] * self.held_out
        lines = (
            json.dumps(
                {
                    "id": f"item_{index}",
                    "split": split,
                    "conversation": {"messages": question_and_answer(question, answer)},
                }
            )
            for index, ((question, answer), split) in enumerate(zip(self.rows, splits, strict=True))
        )
        path.write_text("\n".join(lines))
        return path


@dataclass(frozen=True)
class PairTable:
    """Questions with a better and a worse answer, the last `held_out` of them held out."""

    rows: Sequence[tuple[str, str, str]]
    held_out: int = 0

    def write(self, path: Path) -> Path:
        splits = ["TRAIN"] * (len(self.rows) - self.held_out) + ["EVAL"] * self.held_out
        lines = (
            json.dumps({"id": f"item_{index}", "split": split, "preference": preference(*row)})
            for index, (row, split) in enumerate(zip(self.rows, splits, strict=True))
        )
        path.write_text("\n".join(lines))
        return path


def preference(question: str, better: str, worse: str) -> dict[str, Any]:
    asked, preferred = question_and_answer(question, better)
    non_preferred = {"role": "assistant", "content": worse}
    return {"input": {"messages": [asked]}, "preferred": preferred, "non_preferred": non_preferred}


@dataclass(frozen=True)
class Trained:
    """The messages of one attempt, and the addresses that it connected to."""

    run: TrainingRun
    messages: list[TrainingMessage]
    connections: list[str]

    @property
    def result(self) -> TrainingResult:
        last = self.messages[-1]
        assert isinstance(last, TrainingResult)
        return last

    @property
    def prepared(self) -> ItemsPrepared:
        (prepared,) = (message for message in self.messages if isinstance(message, ItemsPrepared))
        return prepared

    @property
    def metrics(self) -> list[Metric]:
        return [message for message in self.messages if isinstance(message, Metric)]

    @property
    def progress(self) -> list[Progress]:
        return [message for message in self.messages if isinstance(message, Progress)]


def capitals() -> Table:
    with CAPITALS.open(encoding="utf-8") as file:
        return Table([(row["question"], row["answer"]) for row in csv.DictReader(file)])


def run_in(
    folder: Path,
    table: Table | PairTable,
    base_model: str = "luthier/tiny",
    hyperparameters: Hyperparameters = HYPERPARAMETERS,
) -> TrainingRun:
    folder.mkdir(parents=True, exist_ok=True)
    return TrainingRun(
        finetune_id="finetune_1",
        name="By heart",
        version=3,
        model_name="Capitals, by heart",
        base_model_name=base_model,
        base_model_license="apache-2.0" if base_model == "luthier/tiny" else None,
        dataset_name="Capitals",
        dataset_version=2,
        method=FinetuneMethod.LORA,
        hyperparameters=hyperparameters,
        seed=1,
        items_path=table.write(folder / "items.jsonl"),
        folder=folder,
    )


def small_run(folder: Path, base_model: str = "luthier/tiny") -> TrainingRun:
    """Ten steps over six items, and two held out."""
    rows = capitals().rows[:8]
    hyperparameters = replace(
        HYPERPARAMETERS, num_epochs=5, per_device_batch_size=3, max_seq_length=64, lora_r=4, lora_dropout=0.1
    )
    return run_in(folder, Table(rows, held_out=2), base_model, hyperparameters)


def city_pairs(number: int) -> list[tuple[str, str, str]]:
    """Questions for a capital, that capital, and that of the country before: learned by heart from few pairs."""
    rows = capitals().rows[:number]
    cities = [answer.partition(" is ")[2].rstrip(".") for _, answer in rows]
    return [(question, cities[index], cities[index - 1]) for index, (question, _) in enumerate(rows)]


def dpo_run(folder: Path, table: PairTable, hyperparameters: Hyperparameters) -> TrainingRun:
    run = run_in(folder, table, hyperparameters=hyperparameters)
    return replace(run, objective=TrainingObjective.DPO, item_format=ItemFormat.PREFERENCE)


def small_dpo_run(folder: Path) -> TrainingRun:
    """Ten steps over six pairs, and two held out."""
    hyperparameters = replace(
        HYPERPARAMETERS,
        num_epochs=5,
        per_device_batch_size=3,
        max_seq_length=64,
        lora_r=4,
        lora_dropout=0.1,
        beta=0.1,
    )
    return dpo_run(folder, PairTable(city_pairs(8), held_out=2), hyperparameters)


async def messages_of(trainer: ProcessTrainer, run: TrainingRun) -> list[TrainingMessage]:
    """All messages of a run; the GGUF that it exports is judged by others too."""
    messages = [message async for message in trainer.train(run)]
    for message in messages:
        if isinstance(message, TrainingResult):
            for file in message.files:
                if file.kind is ArtifactKind.GGUF:
                    assert_healthy(file.path, file.path.parent)
    return messages


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the base models."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def trained(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """examples/capitals.csv, memorized: one whole run for all tests that read its outcome."""
    folder = tmp_path_factory.mktemp("capitals")
    (folder / "sitecustomize.py").write_text(AUDIT)
    connections = folder / "connections"
    run = run_in(folder / "run", capitals())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
        patch.setenv("CONNECTIONS", str(connections))
        messages = asyncio.run(messages_of(ProcessTrainer(models), run))
    return Trained(run, messages, connections.read_text().splitlines())


def write_tiny_gguf(models: Path, folder: Path) -> Path:
    """`luthier/tiny` as it is built, as a GGUF in `folder`."""
    base_model = fetch_base_model("luthier/tiny", models)
    export.save_merged(base_model.load_weights(), base_model, folder / "merged")
    gguf, reporter = folder / "tiny.gguf", Reporter(io.BytesIO())
    with export.converting(folder / "merged", gguf, small_run(folder), reporter):
        pass
    return gguf


@pytest.fixture(scope="session")
def tiny_gguf(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`luthier/tiny` as it is built, as a GGUF."""
    return write_tiny_gguf(models, tmp_path_factory.mktemp("tiny"))
