"""llama.cpp's converter in a process of its own: `python -m infra.training.convert ARGUMENTS`."""

import json
import os
import runpy
import signal
from pathlib import Path
from typing import Any

import gguf
from conversion.base import ModelBase

from infra.child_processes import signal_on_parent_death

# The converter's module for DeepSeek names these tensors of draft models, which its own gguf does not know, and cannot be
# imported without them; its modules for Ministral 3 and GLM-4 import it. Nothing that is converted here has such tensors.
TENSORS_OF_DRAFT_MODELS = ("DSPARK_MARKOV_W1", "DSPARK_MARKOV_W2", "DSPARK_CONF_PROJ")

load_normalized = ModelBase.load_hparams


def define_missing_tensors() -> None:
    """Let all modules of the converter be imported."""
    for name in TENSORS_OF_DRAFT_MODELS:
        if not hasattr(gguf.MODEL_TENSOR, name):
            setattr(gguf.MODEL_TENSOR, name, None)


def load_published(folder: Path, is_mistral_format: bool) -> dict[str, Any]:
    """The configuration as the converter reads it, with what config.json has besides.

    The converter has Transformers read it, which replaces `global_head_dim` of Gemma 4 by a form that the converter does
    not know.
    """
    config: dict[str, Any] = load_normalized(folder, is_mistral_format)
    published: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if isinstance(text := config.get("text_config"), dict):
        config["text_config"] = published.get("text_config", {}) | text
    return published | config


if __name__ == "__main__":
    signal_on_parent_death(int(os.environ["PARENT_PID"]), signal.SIGKILL)
    define_missing_tensors()
    ModelBase.load_hparams = staticmethod(load_published)
    ModelBase.no_mtp = (
        True  # Transformers reads no layers for multi-token prediction, so that the merged model has none
    )
    runpy.run_module("convert_hf_to_gguf", run_name="__main__", alter_sys=True)
