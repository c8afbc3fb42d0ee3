"""A small model of each architecture, trained for two steps, merged, exported, and asked in llama.cpp and in torch."""

import asyncio
import io
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel

from domain.architectures import ARCHITECTURES
from domain.base_models import ModelType
from infra.training import export
from infra.training.adapter_training import train_adapter
from infra.training.base_model import fetch_base_model
from infra.training.data import tokenize
from infra.training.importer import ProcessImporter
from infra.training.items_file import read_items
from infra.training.parity import served
from infra.training.reporter import Reporter
from infra.training.tiny import ensure_model
from tests.infra.training.conftest import HYPERPARAMETERS, Table, capitals, run_in
from tests.infra.training.small_models import BYTE_LEVEL, build_model

MAIN = (
    "Gemma4ForConditionalGeneration",
    "Mistral3ForConditionalGeneration",
    "Qwen3ForCausalLM",
    "Qwen3_5ForConditionalGeneration",
)
EVERY = sorted(name for name, found in ARCHITECTURES.items() if found.model_type is ModelType.TEXT_GENERATION)
NAMES = EVERY if "EVERY_ARCHITECTURE" in os.environ else MAIN  # those of docs/models.md, in some minutes
TOLERANCE = 0.05  # of a probability: the GGUF has 8 bits a weight
SMOLLM2 = "HuggingFaceTB/SmolLM2-135M-Instruct"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.filterwarnings(
        "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"
    ),  # peft's own
]


@pytest.fixture(scope="module")
def byte_level(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with SmolLM2's tokenizer."""
    folder, importer = tmp_path_factory.mktemp("smollm2"), ProcessImporter()
    packaged = importer.packaged(SMOLLM2)
    assert packaged is not None
    asyncio.run(importer.import_model(packaged.path, folder))
    return folder


@pytest.fixture(scope="module")
def sentencepiece(models: Path) -> Path:
    """A folder with the tokenizer of `luthier/tiny`."""
    return ensure_model(models)


@pytest.mark.parametrize("name", NAMES)
def test_the_export_expects_the_same_next_token(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    is_byte_level = name.startswith(BYTE_LEVEL)
    folder = request.getfixturevalue("byte_level" if is_byte_level else "sentencepiece")
    assert max(differences(name, folder, tmp_path)) < TOLERANCE


def differences(name: str, tokenizer_folder: Path, scratch: Path) -> Iterator[float]:
    """How far the probabilities of the likeliest next token in torch and in llama.cpp are apart, for each prompt."""
    build_model(name, tokenizer_folder, scratch / "model")
    hyperparameters = replace(
        HYPERPARAMETERS, num_epochs=1, per_device_batch_size=4, max_seq_length=96, lora_r=8,
        target_modules=ARCHITECTURES[name].target_modules,
    )  # fmt: skip
    run = run_in(scratch / "run", Table(capitals().rows[:8]), f"test/{name}", hyperparameters)
    base_model = fetch_base_model(run.base_model_name, scratch, scratch / "model")
    # Transformers gives some architectures a tokenizer of their own, which the converter knows by its vocabulary alone.
    base_model = replace(
        base_model, tokenizer=fetch_base_model("test/tokenizer", scratch, tokenizer_folder).tokenizer
    )
    train, held_out = (tokenize(split, base_model, 96) for split in read_items(run.items_path))
    reporter = Reporter(io.BytesIO())
    train_adapter(run, base_model, train=train, held_out=held_out, work_folder=scratch, reporter=reporter)
    model = export.merge_adapter(base_model.load_weights(), scratch / "adapter")
    export.save_merged(model, base_model, scratch / "merged")
    with export.converting(scratch / "merged", scratch / "model.gguf", run, reporter):
        pass
    prompts = [base_model.token_ids(item.item.asked, add_generation_prompt=True) for item in train.items]
    with served(scratch / "model.gguf", 256) as client:
        for prompt in prompts:
            probabilities = next_token_probabilities(model, prompt)
            request = {
                "prompt": prompt,
                "n_predict": 1,
                "temperature": 0,
                "n_probs": 1,
                "cache_prompt": False,
            }
            [answer] = (
                client.post("/completion", json=request).raise_for_status().json()["completion_probabilities"]
            )
            [likeliest] = answer["top_logprobs"]
            yield abs(float(probabilities[likeliest["id"]]) - float(torch.tensor(likeliest["logprob"]).exp()))


def next_token_probabilities(model: PreTrainedModel, prompt: list[int]) -> torch.Tensor:
    """The probability of each token of the vocabulary to come next."""
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([prompt])).logits
    probabilities: torch.Tensor = logits[0, -1].float().softmax(dim=-1)
    return probabilities
