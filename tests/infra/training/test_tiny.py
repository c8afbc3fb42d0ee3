import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.conversations import Conversation
from infra.training import tiny
from infra.training.base_model import LocalBaseModel, fetch_base_model
from infra.training.chat_templates import CHATML

# U+2581 is how SentencePiece, and llama.cpp with it, writes a space.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\u2581"))
CONTROLS = ("<s>", "</s>", "<unk>", "<pad>", "<|im_start|>", "<|im_end|>")

RECIPE_DIGESTS = {1: "78e8c00b011609a71d1d17f337cabf6e36c5367fa33e5f4f997e6d79e2e694b9"}
"""By `RECIPE_VERSION`: a change of the recipe needs a new version, and its digest here."""


@pytest.fixture(scope="module")
def base_model(models: Path) -> LocalBaseModel:
    return fetch_base_model(tiny.NAME, models)


@given(text=TEXT.filter(lambda text: not any(symbol in text for symbol in CONTROLS)))
def test_any_text_survives_the_tokenizer(base_model: LocalBaseModel, text: str) -> None:
    assert base_model.tokenizer.decode(base_model.tokenizer(text)["input_ids"]) == text


def test_the_control_symbols_are_one_token_each_and_nothing_is_put_around(base_model: LocalBaseModel) -> None:
    prompt = base_model.token_ids(
        Conversation(messages=[{"role": "user", "content": "Hi"}]), add_generation_prompt=True
    )
    start, end = base_model.tokenizer.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"])
    assert (prompt[0], prompt.count(start), prompt.count(end)) == (start, 2, 1)
    assert base_model.tokenizer.eos_token_id == end


def test_the_same_recipe_builds_the_same_bytes_under_the_same_name(tmp_path: Path) -> None:
    built = [tiny.ensure_model(tmp_path / name) for name in ("one", "two")]
    contents = [{path.name: path.read_bytes() for path in folder.iterdir()} for folder in built]
    assert contents[0] == contents[1]
    assert built[0].name == built[1].name
    assert {"model.safetensors", "tokenizer.model", "chat_template.jinja"} <= contents[0].keys()


def test_a_changed_recipe_has_a_new_version() -> None:
    recipe = [tiny.corpus(), CHATML, tiny.SEED, tiny.SENTENCEPIECE, tiny.TOKENIZER, tiny.ARCHITECTURE]
    digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()
    assert digest == RECIPE_DIGESTS[tiny.RECIPE_VERSION]


@pytest.mark.parametrize("changed", ["RECIPE_VERSION", "LIBRARIES"])
def test_a_model_of_another_version_is_built_beside_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    old = tiny.ensure_model(tmp_path)
    monkeypatch.setattr(tiny, changed, {"RECIPE_VERSION": 0, "LIBRARIES": ("torch",)}[changed])
    assert tiny.ensure_model(tmp_path) != old
    assert len(list(tmp_path.iterdir())) == 2


def test_two_processes_that_race_to_build_it_end_with_one_whole_model(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(tiny.ensure_model, [tmp_path, tmp_path])
    assert first == second
    assert [path.name for path in tmp_path.iterdir()] == [first.name]
    assert (first / "model.safetensors").exists()
