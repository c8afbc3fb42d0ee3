"""The known architectures against the installed Transformers and llama.cpp's converter."""

import pytest
import torch
import transformers
from conversion import TEXT_MODEL_MAP
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
)
from transformers.pytorch_utils import Conv1D

from domain.architectures import ARCHITECTURES
from domain.base_models import ModelType

TEXT = {name: found for name, found in ARCHITECTURES.items() if found.model_type is ModelType.TEXT_GENERATION}
NOT_ADAPTED = {"lm_head"}
LOADED_AS = {"Qwen3_5ForConditionalGeneration": "Qwen3_5ForCausalLM"}
"""The multimodal architecture of whose models the language model alone is loaded."""


def test_every_text_architecture_can_be_exported_and_loaded_as_a_language_model() -> None:
    assert [name for name in TEXT if name not in TEXT_MODEL_MAP] == []
    classes = MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES | MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    loaded = {name: classes[found.family] for name, found in TEXT.items()}
    assert loaded == {name: LOADED_AS.get(name, name) for name in TEXT}


@pytest.mark.parametrize(
    "name",
    ["LlamaForCausalLM", "Phi3ForCausalLM", "GPT2LMHeadModel", "Gemma3ForCausalLM", "Qwen3_5ForCausalLM"],
)
def test_target_modules_are_all_linear_layers_but_the_last(name: str) -> None:
    assert linear_layers(name) - NOT_ADAPTED == set(ARCHITECTURES[name].target_modules)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_target_modules_are_linear_layers_of_the_architecture(name: str) -> None:
    assert set(ARCHITECTURES[name].target_modules) <= linear_layers(name)


def linear_layers(name: str) -> set[str]:
    """The names of an architecture's linear layers, without what they are a part of; no weight is made."""
    config = CONFIG_MAPPING[ARCHITECTURES[name].family]()
    with torch.device("meta"):
        model = getattr(transformers, name)(config)
    modules = model.named_modules()
    return {
        path.rpartition(".")[2] for path, module in modules if isinstance(module, torch.nn.Linear | Conv1D)
    }
