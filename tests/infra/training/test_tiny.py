from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.training import tiny
from infra.training.base_model import Base, find

# U+2581 is how SentencePiece, and llama.cpp with it, writes a space.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\u2581"))
CONTROLS = ("<s>", "</s>", "<unk>", "<pad>", "<|im_start|>", "<|im_end|>")


@pytest.fixture(scope="module")
def base(models: Path) -> Base:
    return find(tiny.NAME, models)


@given(text=TEXT.filter(lambda text: not any(each in text for each in CONTROLS)))
def test_any_text_survives_the_tokenizer(base: Base, text: str) -> None:
    assert base.tokenizer.decode(base.tokenizer(text)["input_ids"]) == text


def test_the_control_symbols_are_one_token_each_and_nothing_is_put_around(base: Base) -> None:
    prompt = base.token_ids([{"role": "user", "content": "Hi"}], answering=True)
    start, end = base.tokenizer.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"])
    assert (prompt[0], prompt.count(start), prompt.count(end)) == (start, 2, 1)
    assert base.tokenizer.eos_token_id == end


def test_it_is_made_of_the_same_bytes_each_time(tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        tiny.make(folder)
        made.append({each.name: each.read_bytes() for each in folder.iterdir()})
    assert made[0] == made[1]
    assert {"model.safetensors", "tokenizer.model", "chat_template.jinja"} <= made[0].keys()


def test_two_that_race_to_make_it_end_with_one_whole_model(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(tiny.ensure, [tmp_path, tmp_path])
    assert first == second
    assert [each.name for each in tmp_path.iterdir()] == [first.name]
    assert (first / "model.safetensors").exists()
