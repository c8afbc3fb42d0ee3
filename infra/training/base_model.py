"""The base model: found on this machine or fetched from the hub, with its tokenizer and chat template."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from domain.ports.trainer import TrainingFailed
from domain.rules import safe_name
from infra.training import tiny
from infra.training.chat_templates import CHATML, chatml_ending_in

FILES = ["*.json", "*.safetensors", "*.model", "*.jinja", "*.txt"]
Conversation = list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class Base:
    """A base model on disk and its tokenizer; `warnings` say what had to be made up."""

    folder: Path
    tokenizer: PreTrainedTokenizerBase
    warnings: tuple[str, ...]

    @property
    def context(self) -> int:
        """How many tokens the model can read."""
        config = json.loads((self.folder / "config.json").read_text())
        return int(config.get("max_position_embeddings") or 2048)

    def load(self, *, four_bits: bool = False) -> PreTrainedModel:
        """The model on the GPU where there is one; `four_bits` is for QLORA's training only."""
        return AutoModelForCausalLM.from_pretrained(
            self.folder,
            dtype=_dtype(),
            device_map={"": 0} if torch.cuda.is_available() else None,
            quantization_config=_four_bits() if four_bits else None,
            local_files_only=True,
        )

    def rendered(self, conversation: Conversation, *, answering: bool) -> str:
        """The conversation as the chat template renders it; `answering` ends it where an answer begins."""
        text = self.tokenizer.apply_chat_template(
            conversation, tokenize=False, add_generation_prompt=answering
        )
        return str(text)

    def token_ids(self, conversation: Conversation, *, answering: bool) -> list[int]:
        """The token ids of `rendered`."""
        # The template has written the special tokens already.
        text = self.rendered(conversation, answering=answering)
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids


def find(name: str, models_folder: Path) -> Base:
    """The base model `name`: `luthier/tiny`, a folder below `models_folder`, or one from the hub."""
    folder = _folder(name, models_folder)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    warnings = tuple(_given_template(tokenizer))
    if tokenizer.eos_token is None:
        raise TrainingFailed(
            "The base model's tokenizer has no end token, so a tuned model could never stop."
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return Base(folder, tokenizer, warnings)


def _folder(name: str, models_folder: Path) -> Path:
    if name == tiny.NAME:
        return tiny.ensure_model(models_folder)
    local = models_folder / safe_name(name)
    if local.is_dir():
        return local
    # Once, and all at once: whatever is read from here on is read from the disk.
    return Path(snapshot_download(name, allow_patterns=FILES))


def _given_template(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    if tokenizer.chat_template:
        return []
    knows_chatml = "<|im_end|>" in tokenizer.get_vocab()
    tokenizer.chat_template = CHATML if knows_chatml else chatml_ending_in(tokenizer.eos_token or "")
    return ["The base model brings no chat template; it was trained with ChatML, which the GGUF carries."]


def _dtype() -> torch.dtype:
    if not torch.cuda.is_available():
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


def _four_bits() -> BitsAndBytesConfig:
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=_dtype(),
    )
