import json
from dataclasses import replace
from pathlib import Path

import pytest

from domain.finetunes import FinetuneMethod
from infra.training.base_model import Base, find
from infra.training.data import IGNORED, Item, prepare, read
from infra.training.frozen_run import FrozenRun, read_run, write_run
from infra.training.tune import newest_whole
from tests.infra.training.conftest import small_run

HELLO = Item("item_1", "Say hello.", "Hello!")


@pytest.fixture(scope="module")
def base(models: Path) -> Base:
    return find("luthier/tiny", models)


def test_only_the_answer_and_its_end_are_learned(base: Base) -> None:
    (row,) = prepare([HELLO], base, 100).rows
    learned = [label for label in row.labels if label != IGNORED]
    assert base.tokenizer.decode(learned) == "Hello!<|im_end|>\n"
    assert base.tokenizer.decode(row.input_ids) == (
        "<|im_start|>user\nSay hello.<|im_end|>\n<|im_start|>assistant\nHello!<|im_end|>\n"
    )


def test_items_that_are_cut_or_left_out_are_counted_and_told(base: Base) -> None:
    long_answer = replace(HELLO, output="Hello! " * 50)
    long_prompt = replace(HELLO, input="Say hello. " * 50)
    prepared = prepare([HELLO, long_answer, long_prompt], base, 40)
    assert [row.item for row in prepared.rows] == [HELLO, long_answer]
    assert max(len(row.input_ids) for row in prepared.rows) == 40
    assert prepared.warnings("training", 40) == [
        "1 training items were longer than 40 tokens and were cut.",
        "1 training items were left out: their prompt alone fills 40 tokens.",
    ]


def test_nothing_is_warned_about_when_nothing_is_lost(base: Base) -> None:
    assert prepare([HELLO], base, 100).warnings("training", 100) == []


def test_items_are_read_in_order_and_split(tmp_path: Path) -> None:
    lines = [
        {"id": f"i{n}", "input": "q", "output": "a", "split": ("TRAIN", "EVAL")[n % 2]} for n in range(4)
    ]
    path = tmp_path / "items.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    train, held_out = read(path)
    assert [[each.id for each in part] for part in (train, held_out)] == [["i0", "i2"], ["i1", "i3"]]


def test_a_frozen_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    frozen = FrozenRun.of(small_run(tmp_path), tmp_path / "models")
    write_run(frozen)
    assert read_run(tmp_path) == frozen


def test_a_damaged_run_file_is_an_error(tmp_path: Path) -> None:
    write_run(FrozenRun.of(small_run(tmp_path), tmp_path / "models"))
    path = tmp_path / "run.json"
    path.write_text(path.read_text().replace('"LORA"', '"LOVE"'))
    with pytest.raises(ValueError, match=r"run\.method"):
        read_run(tmp_path)


def test_checkpoints_of_another_run_are_never_gone_on_from(tmp_path: Path) -> None:
    run = small_run(tmp_path)
    folder = FrozenRun.of(run, tmp_path).work_folder
    others = [
        replace(run, seed=2),
        replace(run, base_model_name="another"),
        replace(run, method=FinetuneMethod.QLORA),
        replace(run, hyperparameters=replace(run.hyperparameters, lora_alpha=1)),
    ]
    folders = [FrozenRun.of(each, tmp_path).work_folder for each in others]
    run.items_path.write_text("")
    folders.append(FrozenRun.of(run, tmp_path).work_folder)
    assert len({folder, *folders}) == 6
    assert FrozenRun.of(replace(run, model_name="renamed"), tmp_path).work_folder == folders[-1]


def test_a_checkpoint_that_was_cut_short_is_passed_over(tmp_path: Path) -> None:
    for name, state in (("checkpoint-9", "{}"), ("checkpoint-10", "{}"), ("checkpoint-11", '{"log_his')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "trainer_state.json").write_text(state)
    (tmp_path / "checkpoint-12").mkdir()
    assert newest_whole(tmp_path) == tmp_path / "checkpoint-10"
