"""`luthier/tiny`: a base model that is built on this machine, to try everything out without a download.

Llama's architecture with random weights. It knows nothing, but LoRA has it memorize a small table in
seconds, and it passes through the same stages as a large model: template, tokenizer, merge, GGUF, llama.cpp.
"""

import hashlib
import io
import shutil
import tempfile
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from sentencepiece import SentencePieceTrainer
from transformers import LlamaConfig, LlamaForCausalLM, LlamaTokenizer, PreTrainedTokenizerBase

from infra.training.chat_templates import CHATML

NAME = "luthier/tiny"

# Part of the folder's name. Raise it with every change of the corpus, of the chat template, of a constant
# below or of how they are used: otherwise a model that was built before the change is used in its place.
RECIPE_VERSION = 2
LIBRARIES = ("sentencepiece", "torch", "transformers")  # the model's bytes depend on their versions too

MODEL_FILES = ("config.json", "generation_config.json", "model.safetensors")  # all but the tokenizer's
SEED = 0
MAX_TOKENS = 2048
CHARACTERS = "".join(
    [
        "\n\t",
        *map(chr, range(0xA1, 0x180)),  # Latin of Europe, and its signs
        "ΆΈΉΊΌΎΏ", *map(chr, range(0x391, 0x3CF)),  # Greek
        *map(chr, range(0x400, 0x460)), "Ґґ",  # Cyrillic
        *map(chr, range(0x5D0, 0x5EB)),  # Hebrew
        *map(chr, range(0x621, 0x653)), "،؛؟",  # Arabic
        "–—‘’‚“”„†‡•…‰′″‹›€₤₪₹№™←↑→↓↔−∞√≈≠≤≥✓✔✗\u2060",  # noqa: RUF001 - they are meant
    ]
)  # fmt: skip
"""The characters that are one token each; other ones may be, where the corpus has them, or else are bytes."""

# A BPE for any text: characters without a piece become bytes.
SENTENCEPIECE: dict[str, Any] = {
    "model_type": "bpe",
    "vocab_size": 2000,
    "hard_vocab_limit": False,
    "byte_fallback": True,
    "character_coverage": 1.0,
    "required_chars": CHARACTERS,
    "split_by_unicode_script": False,  # otherwise no piece has letters and signs, as "<tool_call>" has
    "pad_id": 3,
    # control, not user_defined: otherwise llama.cpp splits "<|im_start|>" into 13 tokens
    "control_symbols": ["<|im_start|>", "<|im_end|>"],
    "normalization_rule_name": "identity",
    "remove_extra_whitespaces": False,
    "add_dummy_prefix": False,
    "num_threads": 1,
}
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
# Random weights would generate bytes in any order, which are broken characters: with a smaller row in the output
# layer, which LoRA leaves as it is, a byte is hardly ever generated unless the model was trained to.
BYTE_WEIGHT = 0.5
TOKENIZER = {
    "eos_token": "<|im_end|>",
    "pad_token": "<pad>",
    "additional_special_tokens": ["<|im_start|>"],
    "add_prefix_space": False,
    "add_bos_token": False,
    "model_max_length": MAX_TOKENS,
}
ARCHITECTURE = {
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "max_position_embeddings": MAX_TOKENS,
    "tie_word_embeddings": False,
    # At the usual 0.02 the random, frozen output layer cannot give any token a high probability: the loss
    # never falls below 1.9.
    "initializer_range": 0.08,
}


def corpus() -> str:
    """The text that the tokenizer is trained on."""
    return files("infra.training").joinpath("tiny_corpus.txt").read_text(encoding="utf-8")


def ensure_model(models_folder: Path) -> Path:
    """The folder of the model, which is built when it does not exist.

    Two processes may race: each builds one under a temporary name, and the first rename wins.
    """
    folder = models_folder / _folder_name()
    if folder.exists():
        return folder
    models_folder.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".luthier_tiny-", dir=models_folder))
    try:
        build_model(scratch)
        scratch.chmod(0o755)
        scratch.rename(folder)
    except OSError:
        if not folder.exists():
            raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return folder


def build_model(folder: Path) -> None:
    """Write the tokenizer and the weights into `folder`; the same bytes each time on one machine."""
    tokenizer = _tokenizer(folder)
    _model(tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _folder_name() -> str:
    versions = ",".join(f"{library}=={version(library)}" for library in LIBRARIES)
    return f"luthier_tiny-v{RECIPE_VERSION}-{hashlib.sha256(versions.encode()).hexdigest()[:12]}"


def _tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    (folder / "tokenizer.model").write_bytes(_sentencepiece_model())
    tokenizer = LlamaTokenizer.from_pretrained(folder, **TOKENIZER)
    tokenizer.chat_template = CHATML
    return tokenizer


def _sentencepiece_model() -> bytes:
    model = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(corpus().splitlines()), model_writer=model, minloglevel=2, **SENTENCEPIECE
    )
    return model.getvalue()


def _model(tokenizer: PreTrainedTokenizerBase) -> LlamaForCausalLM:
    torch.manual_seed(SEED)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            **ARCHITECTURE,
        ),
    )
    with torch.no_grad():
        model.lm_head.weight[tokenizer.convert_tokens_to_ids(BYTES)] *= BYTE_WEIGHT
    return model
