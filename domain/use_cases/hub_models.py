"""Which models of a hub can be fine-tuned: a hub's description becomes a base model, or is refused in one sentence."""

from collections.abc import Mapping
from typing import Any

from domain.architectures import ARCHITECTURES, Architecture, is_causal_language_model
from domain.base_model_files import NAMES_CODE, PICKLES
from domain.base_models import BITS_16BIT, BaseModel, ModelSource, ModelType, id_of
from domain.errors import Invalid, LimitExceeded
from domain.model_catalog import VIDEO, gated_warning
from domain.ports.model_hub import HubModel, weight_files

EMBEDDING_FILES = frozenset({"modules.json", "config_sentence_transformers.json"})
MAX_COUNT = 2**31 - 1


def base_model_of(found: HubModel, max_bytes: int) -> BaseModel:
    """The base model of a repository; raises `Invalid` or `LimitExceeded` for one that cannot be tuned."""
    _require_tunable_files(found)
    config = found.config or {}
    class_name, architecture = _architecture(found.model_id, config)
    _require_size(found, max_bytes)
    text = _text_config(config)
    return BaseModel(
        id=id_of(found.model_id),
        model_id=found.model_id,
        name=found.model_id.rpartition("/")[2],
        source=ModelSource.HUGGING_FACE,
        model_type=architecture.model_type,
        base_architecture=architecture.family,
        architecture=class_name,
        num_parameters=found.num_parameters,
        vocab_size=_count(text, "vocab_size"),
        max_position_embeddings=_count(text, "max_position_embeddings", "n_positions", "seq_length"),
        license=found.license,
        target_modules=architecture.target_modules,
        revision=found.revision,
        warnings=tuple(_warnings(found, architecture)),
    )


def _require_tunable_files(found: HubModel) -> None:
    """Raise `Invalid` for a repository of anything else than the safe weights of a model of its own."""
    paths = {file.path for file in found.files}
    if found.has_code:
        raise _refusal(found, NAMES_CODE, "MODEL_HAS_CODE")
    if found.config is None:
        raise _without_config(found, paths)
    if paths & EMBEDDING_FILES:
        raise _refusal(found, "is an embedding model, not a language model that answers.", "MODEL_NOT_CAUSAL")
    if isinstance(found.config.get("quantization_config"), dict):
        raise _refusal(found, "is quantized; resolve the model that it was made from.", "MODEL_QUANTIZED")
    if not weight_files(found.files):
        raise _without_safetensors(found, paths)


def _without_config(found: HubModel, paths: set[str]) -> Invalid:
    if "adapter_config.json" in paths:
        return _refusal(
            found, "is an adapter alone; resolve the model that it belongs to.", "MODEL_NOT_CAUSAL"
        )
    if "model_index.json" in paths:
        return _refusal(found, "is a diffusion pipeline, not a language model.", "MODEL_NOT_CAUSAL")
    if any(path.endswith(".gguf") for path in paths):
        return _without_safetensors(found, paths)
    return _refusal(found, "has no config.json, so nothing is known of its model.", "MODEL_WITHOUT_CONFIG")


def _without_safetensors(found: HubModel, paths: set[str]) -> Invalid:
    if any(path.endswith(".gguf") for path in paths):
        return _refusal(
            found,
            "has GGUF files alone; download one, and add it with `luthier models add FILE.gguf`.",
            "MODEL_WITHOUT_SAFETENSORS",
        )
    pickled = any(path.endswith(PICKLES) for path in paths)
    what = (
        "has its weights as pickles alone, which can run code when they are read; safetensors files are needed."
        if pickled
        else "has no model.safetensors, nor shards of it, which are the files that are fetched."
    )
    return _refusal(found, what, "MODEL_WITHOUT_SAFETENSORS")


def _architecture(model_id: str, config: Mapping[str, Any]) -> tuple[str, Architecture]:
    """The model class that a configuration names, and its architecture; raises `Invalid`."""
    names = config.get("architectures")
    name = names[0] if isinstance(names, list) and names and isinstance(names[0], str) else None
    if name is None:
        message = f"The config.json of {model_id} names no architecture."
        raise Invalid(message, reason="MODEL_NOT_CAUSAL", field="modelId")
    if (known := ARCHITECTURES.get(name)) is not None:
        return name, known
    if not is_causal_language_model(name):
        message = f"{model_id} is a {name[:100]}, not a causal language model, which is what can be fine-tuned here."
        raise Invalid(message, reason="MODEL_NOT_CAUSAL", field="modelId")
    message = (
        f"The architecture {name[:100]} of {model_id} is not one that can be both trained here and exported to GGUF; "
        "docs/models.md lists those that can."
    )
    raise Invalid(message, reason="ARCHITECTURE_UNSUPPORTED", field="modelId")


def _require_size(found: HubModel, max_bytes: int) -> None:
    """Raise `LimitExceeded` for weights above the limit, `Invalid` where the hub does not give their size."""
    size = found.size_bytes
    if size is None and found.num_parameters is not None:
        size = int(found.num_parameters * BITS_16BIT / 8)
    if size is None:
        raise _refusal(found, "does not give the size of its weights.", "MODEL_SIZE_UNKNOWN")
    if size > max_bytes:
        raise LimitExceeded(
            f"The weights of {found.model_id} are {size / 1e9:,.1f} GB; at most {max_bytes / 1e9:g} GB are fetched "
            "here (MAX_MODEL_GB).",
            reason="MODEL_TOO_LARGE",
            field="modelId",
            context={"sizeBytes": size, "maxBytes": max_bytes},
        )


def _text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The configuration of the language model, which is a part of the whole where there is another for images."""
    text = config.get("text_config")
    return text if isinstance(text, dict) else config


def _count(config: Mapping[str, Any], *names: str) -> int | None:
    """The first of these values that is a whole number of at least 1."""
    values = (config.get(name) for name in names)
    return next((value for value in values if type(value) is int and 1 <= value <= MAX_COUNT), None)


def _warnings(found: HubModel, architecture: Architecture) -> list[str]:
    return [
        *([VIDEO] if architecture.model_type is not ModelType.TEXT_GENERATION else ()),
        *([gated_warning(found.model_id)] if found.is_gated else ()),
    ]


def _refusal(found: HubModel, what: str, reason: str) -> Invalid:
    return Invalid(f"The repository {found.model_id} {what}", reason=reason, field="modelId")
