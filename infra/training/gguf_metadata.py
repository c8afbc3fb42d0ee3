"""The `general.*` keys of the GGUF: what the model is, what it was made from, and under which licence."""

from typing import Any

from gguf.metadata import Metadata
from huggingface_hub import CardData

from domain.ports.trainer import TrainingRun
from infra.training import tiny

HUB = "https://huggingface.co"
UNKNOWN_LICENSE = {"license": "other", "license_name": "unknown"}
"""What the Hugging Face Hub writes for a licence that is not on its list."""
TAGS = ["luthier", "lora"]


def license_fields(run: TrainingRun) -> dict[str, Any]:
    """The base model's licence, which the fine-tuned model inherits, in the fields of a model card."""
    return {"license": run.base_model_license} if run.base_model_license else UNKNOWN_LICENSE


def converter_card(run: TrainingRun) -> str:
    """A model card of metadata alone, from which llama.cpp's converter takes the `general.*` keys.

    Not its `--metadata` file, which cannot name the licence.
    """
    _, _, basename, *_ = Metadata.get_model_id_components(run.base_model_name)
    fields: dict[str, Any] = {
        "name": run.model_name,
        "basename": basename or _short_name(run.base_model_name),
        "finetune": run.name,
        "version": f"v{run.version}",
        "description": _description(run),
        "tags": TAGS,
        "pipeline_tag": "text-generation",
        "base_model": [_base_model(run.base_model_name)],
        "datasets": [{"name": run.dataset_name, "version": f"v{run.dataset_version}"}],
    }
    return f"---\n{CardData(**fields, **license_fields(run)).to_yaml()}\n---\n"


def _description(run: TrainingRun) -> str:
    return f"{run.base_model_name}, fine-tuned by {run.method} on the dataset {run.dataset_name}: {run.finetune_id}"


def _base_model(name: str) -> dict[str, str]:
    organization = name.rpartition("/")[0]
    base_model = {"name": _short_name(name)}
    if organization:
        base_model["organization"] = organization
    if name != tiny.NAME:
        base_model["repo_url"] = f"{HUB}/{name}"
    return base_model


def _short_name(base_model_name: str) -> str:
    return base_model_name.rpartition("/")[2]
