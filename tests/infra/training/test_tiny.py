import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.base_models import TINY
from domain.conversations import Conversation
from infra.training import tiny
from infra.training.base_model import LocalBaseModel, fetch_base_model
from infra.training.chat_templates import CHATML
from infra.training.generation import generate_greedily

# U+2581 is how SentencePiece, and llama.cpp with it, writes a space.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\u2581"))
CONTROLS = ("<s>", "</s>", "<unk>", "<pad>", "<|im_start|>", "<|im_end|>")

RECIPE_DIGESTS = {2: "19580f8cae73f3a385cc9e3839cfa7904defc60953bfa66eabfc1b7b0a200660"}
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


def test_a_small_tool_call_and_signs_of_many_languages_are_few_tokens_and_no_bytes(
    base_model: LocalBaseModel,
) -> None:
    call = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Oslo"}}\n</tool_call>'
    assert len(base_model.tokenizer.tokenize(call)) < 20
    signs = "Ąžő Ελλάδα Україна שלום مرحبا „€5” ≤ 20 °C → ✓\n\t\u2060"
    assert not [token for token in base_model.tokenizer.tokenize(signs) if token in tiny.BYTES]


def test_random_weights_generate_no_broken_characters(base_model: LocalBaseModel) -> None:
    model = base_model.load_weights()
    prompts = [
        base_model.token_ids(
            Conversation(messages=[{"role": "user", "content": str(number)}]), add_generation_prompt=True
        )
        for number in range(8)
    ]
    outputs = generate_greedily(model, base_model, prompts, {base_model.tokenizer.eos_token_id}, 100)
    assert all(outputs)
    assert "\ufffd" not in "".join(outputs)


def test_its_facts_in_the_catalogue_are_those_of_the_model(base_model: LocalBaseModel) -> None:
    assert TINY.num_parameters == base_model.load_weights().num_parameters()
    assert TINY.vocab_size == len(base_model.tokenizer)
    assert TINY.version == str(tiny.RECIPE_VERSION)


def test_the_same_recipe_builds_the_same_bytes_under_the_same_name(tmp_path: Path) -> None:
    built = [tiny.ensure_model(tmp_path / name) for name in ("one", "two")]
    contents = [{path.name: path.read_bytes() for path in folder.iterdir()} for folder in built]
    assert contents[0] == contents[1]
    assert built[0].name == built[1].name
    assert {"model.safetensors", "tokenizer.model", "chat_template.jinja"} <= contents[0].keys()


def test_a_changed_recipe_has_a_new_version() -> None:
    constants = [tiny.SEED, tiny.SENTENCEPIECE, tiny.TOKENIZER, tiny.BYTE_WEIGHT, tiny.ARCHITECTURE]
    recipe = [tiny.corpus(), CHATML, *constants]
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
