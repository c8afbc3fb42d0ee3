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
RECIPE_VERSION = 1
LIBRARIES = ("sentencepiece", "torch", "transformers")  # the model's bytes depend on their versions too

MODEL_FILES = ("config.json", "generation_config.json", "model.safetensors")  # all but the tokenizer's
SEED = 0
MAX_TOKENS = 2048
LETTERS = "ÄÖÜßäöüÀÁÂÃÅÆÇÈÉÊËÍÎÏÑÓÔÕØŒÚàáâãåæçèéêëíîïñóôõøœùúûý¿¡"

# A BPE for any text: characters without a piece become bytes.
SENTENCEPIECE: dict[str, Any] = {
    "model_type": "bpe",
    "vocab_size": 1200,
    "hard_vocab_limit": False,
    "byte_fallback": True,
    "character_coverage": 1.0,
    "required_chars": LETTERS,
    "pad_id": 3,
    # control, not user_defined: otherwise llama.cpp splits "<|im_start|>" into 13 tokens
    "control_symbols": ["<|im_start|>", "<|im_end|>"],
    "normalization_rule_name": "identity",
    "remove_extra_whitespaces": False,
    "add_dummy_prefix": False,
    "num_threads": 1,
}
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
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            **ARCHITECTURE,
        ),
    )
