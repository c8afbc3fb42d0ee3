import json
from dataclasses import replace
from pathlib import Path

import pytest

from domain.conversations import Conversation, ItemFormat
from domain.hyperparameters import FinetuneMethod, TrainingObjective
from infra.training.base_model import LocalBaseModel, fetch_base_model
from infra.training.data import tokenize
from infra.training.frozen_run import FrozenRun, read_run, write_run
from infra.training.items_file import TrainingItem, read_items
from infra.training.labels import IGNORED_LABEL
from infra.training.training_history import latest_checkpoint
from tests.infra.training.conftest import question_and_answer, small_run

MESSAGES = question_and_answer("q", "a")


def item(question: str, answer: str) -> TrainingItem:
    return TrainingItem("item_1", Conversation(messages=question_and_answer(question, answer)))


HELLO = item("Say hello.", "Hello!")
LONG_ANSWER = item("Say hello.", "Hello! " * 50)
LONG_PROMPT = item("Say hello. " * 50, "Hello!")


@pytest.fixture(scope="module")
def base_model(models: Path) -> LocalBaseModel:
    return fetch_base_model("luthier/tiny", models)


def test_only_the_answer_and_its_end_are_learned(base_model: LocalBaseModel) -> None:
    (text,) = tokenize([HELLO], base_model, 100).texts
    learned = [label for label in text.labels if label != IGNORED_LABEL]
    assert base_model.tokenizer.decode(learned) == "Hello!<|im_end|>\n"
    assert base_model.tokenizer.decode(text.input_ids) == (
        "<|im_start|>user\nSay hello.<|im_end|>\n<|im_start|>assistant\nHello!<|im_end|>\n"
    )


def test_items_that_are_cut_or_left_out_are_counted_and_named_in_warnings(base_model: LocalBaseModel) -> None:
    split = tokenize([HELLO, LONG_ANSWER, LONG_PROMPT], base_model, 40)
    assert [tokenized.item for tokenized in split.items] == [HELLO, LONG_ANSWER]
    assert max(len(text.input_ids) for text in split.texts) == 40
    assert split.warnings("training", 40) == [
        "1 training item was longer than 40 tokens and was truncated.",
        "1 training item was left out: its prompt alone fills 40 tokens.",
    ]


def test_a_warning_counts_several_items(base_model: LocalBaseModel) -> None:
    split = tokenize([LONG_ANSWER, LONG_ANSWER, LONG_PROMPT, LONG_PROMPT], base_model, 40)
    assert split.warnings("held-out", 40) == [
        "2 held-out items were longer than 40 tokens and were truncated.",
        "2 held-out items were left out: their prompt alone fills 40 tokens.",
    ]


def test_there_are_no_warnings_when_every_item_is_used_whole(base_model: LocalBaseModel) -> None:
    assert tokenize([HELLO], base_model, 100).warnings("training", 100) == []


def test_items_are_read_in_order_and_split(tmp_path: Path) -> None:
    lines = [
        {"id": f"i{index}", "conversation": {"messages": MESSAGES}, "split": ("TRAIN", "EVAL")[index % 2]}
        for index in range(4)
    ]
    path = tmp_path / "items.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    train, held_out = read_items(path)
    assert [[item.id for item in items] for items in (train, held_out)] == [["i0", "i2"], ["i1", "i3"]]


def test_a_frozen_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    frozen = FrozenRun.of(small_run(tmp_path), tmp_path / "models")
    write_run(frozen)
    assert read_run(tmp_path) == frozen
    assert read_run(tmp_path).work_folder == frozen.work_folder


def test_a_damaged_run_file_is_an_error(tmp_path: Path) -> None:
    write_run(FrozenRun.of(small_run(tmp_path), tmp_path / "models"))
    path = tmp_path / "run.json"
    path.write_text(path.read_text().replace('"LORA"', '"ALORA"'))
    with pytest.raises(ValueError, match=r"run\.method"):
        read_run(tmp_path)


def test_a_run_never_resumes_from_the_checkpoints_of_another(tmp_path: Path) -> None:
    run = small_run(tmp_path)
    folder = FrozenRun.of(run, tmp_path).work_folder
    others = [
        replace(run, seed=2),
        replace(run, base_model_name="another"),
        replace(run, base_model_sha256="0" * 64),
        replace(run, item_format=ItemFormat.CONVERSATION),
        replace(run, system_prompt="Answer in one word."),
        replace(run, objective=TrainingObjective.DPO),
        replace(run, method=FinetuneMethod.QLORA),
        replace(run, hyperparameters=replace(run.hyperparameters, lora_alpha=1)),
    ]
    folders = [FrozenRun.of(other, tmp_path).work_folder for other in others]
    run.items_path.write_text("")
    folders.append(FrozenRun.of(run, tmp_path).work_folder)
    assert len({folder, *folders}) == 10
    assert FrozenRun.of(replace(run, model_name="renamed"), tmp_path).work_folder == folders[-1]


def test_an_incomplete_checkpoint_is_skipped(tmp_path: Path) -> None:
    for name, state in (("checkpoint-9", "{}"), ("checkpoint-10", "{}"), ("checkpoint-11", '{"log_his')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "trainer_state.json").write_text(state)
    (tmp_path / "checkpoint-12").mkdir()
    assert latest_checkpoint(tmp_path) == tmp_path / "checkpoint-10"
