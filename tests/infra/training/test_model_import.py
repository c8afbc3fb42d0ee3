"""Imports of base models from folders and GGUFs, and the sentence for each that cannot be used."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from transformers import AutoTokenizer, modeling_gguf_pytorch_utils

from domain.base_models import TINY
from domain.errors import Invalid
from domain.ports.model_importer import ImportedModel
from infra.training import tiny
from infra.training.gguf_import import _bundled_gguf
from infra.training.imported_model import ImportRefused
from infra.training.importer import ProcessImporter
from infra.training.model_import import import_model
from infra.training.safetensors_header import InvalidSafetensors
from infra.training.trainer import ProcessTrainer
from tests.infra.training.conftest import Trained, messages_of, small_run

pytestmark = pytest.mark.anyio


@pytest.fixture
def source(models: Path, tmp_path: Path) -> Path:
    """A folder that can be used: that of `luthier/tiny`."""
    folder = tmp_path / "source"
    shutil.copytree(tiny.ensure_model(models), folder)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "imported"
    path.mkdir()
    return path


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def change_json(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def pickle(source: Path) -> None:
    (source / "model.safetensors").rename(source / "pytorch_model.bin")


def without_weights(source: Path) -> None:
    (source / "model.safetensors").unlink()


def without_config(source: Path) -> None:
    (source / "config.json").unlink()


def with_code(source: Path) -> None:
    change_json(source / "tokenizer_config.json", auto_map={"AutoTokenizer": "code.Tokenizer"})


def quantized(source: Path) -> None:
    change_json(source / "config.json", quantization_config={"quant_method": "gptq"})


def unknown(source: Path) -> None:
    change_json(source / "config.json", model_type="odd")


def encoder(source: Path) -> None:
    change_json(source / "config.json", architectures=["LlamaForSequenceClassification"])


def no_json(source: Path) -> None:
    (source / "config.json").write_text("{")


def linked(source: Path) -> None:
    outside = source.parent / "secret"
    outside.write_text("{}")
    (source / "generation_config.json").unlink(missing_ok=True)
    (source / "generation_config.json").symlink_to(outside)


def without_a_shard(source: Path) -> None:
    index = {"weight_map": {"model.layers.99.weight": "model-00002-of-00002.safetensors"}}
    (source / "model.safetensors.index.json").write_text(json.dumps(index))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (pickle, "The folder has its weights as pickle, which can run code when it is read"),
        (without_weights, r"The folder has no weights in safetensors \(model.safetensors\)\."),
        (without_config, "The folder has no config.json"),
        (with_code, r"The model names Python code of its own \(auto_map\)"),
        (quantized, "The model's weights are quantized"),
        (unknown, "The architecture 'odd' is not a language model that can be trained"),
        (encoder, "is not a language model that answers in text"),
        (no_json, "config.json or tokenizer_config.json is no JSON"),
        (linked, "generation_config.json is a link to a file outside of the folder"),
        (without_a_shard, "The folder lacks a file with weights: model.layers.99.weight is in none"),
    ],
)
def test_a_folder_that_cannot_be_used_is_one_sentence(
    source: Path, folder: Path, change: Callable[[Path], None], sentence: str
) -> None:
    change(source)
    with pytest.raises(ImportRefused, match=sentence):
        import_model(source, folder)


def test_truncated_safetensors_are_refused(source: Path, folder: Path) -> None:
    weights = source / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(
        InvalidSafetensors, match=r"^model.safetensors is damaged or was not copied completely\.$"
    ):
        import_model(source, folder)


def test_transformers_reads_ggufs_by_the_bundled_package_only_inside_the_block() -> None:
    before = modeling_gguf_pytorch_utils.is_gguf_available
    with _bundled_gguf():
        assert modeling_gguf_pytorch_utils.is_gguf_available()
    assert modeling_gguf_pytorch_utils.is_gguf_available is before


async def test_a_folder_is_imported_without_what_is_no_part_of_the_model(source: Path, folder: Path) -> None:
    (source / "optimizer.pt").write_bytes(b"pickle")
    (source / "run.py").write_text("exit()")
    imported = await ProcessImporter().import_model(source, folder)
    assert imported == ImportedModel(
        base_architecture="llama",
        architecture="LlamaForCausalLM",
        num_parameters=TINY.num_parameters or 0,
        vocab_size=TINY.vocab_size,
        max_position_embeddings=2048,
        license=None,
    )
    assert names(folder).isdisjoint({"optimizer.pt", "run.py"})


async def test_a_damaged_gguf_is_one_sentence_and_the_worker_lives(tmp_path: Path, folder: Path) -> None:
    gguf = tmp_path / "damaged.gguf"
    gguf.write_bytes(b"GGUF\x03\x00\x00\x00")
    with pytest.raises(Invalid, match=r"^The GGUF is damaged or was not copied completely: .*\.$") as raised:
        await ProcessImporter().import_model(gguf, folder)
    assert raised.value.reason == "MODEL_NOT_USABLE"
    assert names(folder) == set()


def test_a_pipe_is_not_waited_for(tmp_path: Path, folder: Path) -> None:
    pipe = tmp_path / "model.gguf"
    os.mkfifo(pipe)
    with pytest.raises(ImportRefused, match="neither a file nor a folder"):
        import_model(pipe, folder)


@pytest.mark.parametrize("index", ["{", "[]", "5", "{}", '{"weight_map": 5}', "[" * 100_000])
def test_an_index_that_lists_no_weights_is_refused(source: Path, folder: Path, index: str) -> None:
    (source / "model.safetensors.index.json").write_text(index)
    with pytest.raises(ImportRefused, match="does not list the model's weights"):
        import_model(source, folder)


@pytest.mark.parametrize("text", ["5", "[]", "null", '"auto_map"', "[" * 100_000, "{"])
@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_a_configuration_that_is_no_object_is_refused(
    source: Path, folder: Path, name: str, text: str
) -> None:
    (source / name).write_text(text)
    with pytest.raises(ImportRefused, match="is no JSON"):
        import_model(source, folder)


@pytest.mark.timeout(300)
async def test_a_gguf_with_a_sentencepiece_vocabulary_is_imported_trained_and_exported(
    tiny_gguf: Path, folder: Path, models: Path, tmp_path: Path
) -> None:
    imported = await ProcessImporter().import_model(tiny_gguf, folder)
    assert (imported.architecture, imported.num_parameters) == ("LlamaForCausalLM", TINY.num_parameters)
    own, rebuilt = (AutoTokenizer.from_pretrained(path) for path in (tiny.ensure_model(models), folder))
    assert rebuilt.get_vocab() == own.get_vocab()
    assert rebuilt.chat_template == own.chat_template
    run = replace(small_run(tmp_path / "run", "acme/support"), base_model_folder=folder)
    result = Trained(run, await messages_of(ProcessTrainer(models), run), []).result
    assert result.parity is not None
    assert (result.parity.template_matches, result.parity.token_ids_match) == (True, True), result.parity


def test_a_gguf_with_weights_that_are_no_numbers_is_refused(
    tiny_gguf: Path, tmp_path: Path, folder: Path
) -> None:
    damaged = tmp_path / "damaged.gguf"
    content = bytearray(tiny_gguf.read_bytes())
    content[-1000:] = b"\xff" * 1000
    damaged.write_bytes(content)
    with pytest.raises(ImportRefused, match=r"^The GGUF is damaged: the weights .+ have values that are no"):
        import_model(damaged, folder)
