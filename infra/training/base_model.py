"""The base model: its files on this machine, which the worker put there, with its tokenizer and chat template."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoTokenizer,
    BitsAndBytesConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from domain.base_model_files import weights_digest
from domain.conversations import Conversation
from domain.ports.trainer import TrainingFailed
from infra.training import tiny
from infra.training.chat_templates import CHATML, chatml_with_eos_token
from infra.training.template_input import template_input, template_variables

DEFAULT_MAX_TOKENS = 2048


@dataclass(frozen=True, slots=True)
class LocalBaseModel:
    """A base model's folder and tokenizer, and the digest of its weights.

    `warnings` name what the model lacks and what was used in its place.
    """

    folder: Path
    sha256: str
    tokenizer: PreTrainedTokenizerBase
    warnings: tuple[str, ...]

    @property
    def max_tokens(self) -> int:
        """The length of the context window in tokens."""
        config = json.loads((self.folder / "config.json").read_text())
        config_of_text = (
            config.get("text_config") or config
        )  # a multimodal model has one for each of its parts
        return int(config_of_text.get("max_position_embeddings") or DEFAULT_MAX_TOKENS)

    def load_weights(self, *, quantize_4bit: bool = False) -> PreTrainedModel:
        """The model, on the GPU where there is one; `quantize_4bit` is for training by QLORA only."""
        return _model_class(self.folder).from_pretrained(
            self.folder,
            dtype=_dtype(),
            device_map={"": 0} if torch.cuda.is_available() else None,
            quantization_config=_nf4_config() if quantize_4bit else None,
            local_files_only=True,
        )

    def save_tokenizer(self, folder: Path) -> list[Path]:
        """Write the tokenizer and the chat template into `folder`; the files' paths."""
        paths = [Path(path) for path in self.tokenizer.save_pretrained(folder)]
        sentencepiece_model = self.folder / "tokenizer.model"
        if sentencepiece_model.exists():
            paths.append(folder / sentencepiece_model.name)
            shutil.copyfile(sentencepiece_model, paths[-1])
        return sorted({path for path in paths if path.is_file()})

    def render(self, conversation: Conversation, *, add_generation_prompt: bool) -> str:
        """The conversation as text; with `add_generation_prompt` it ends where the assistant's answer begins.

        Raises `jinja2.TemplateError`, or any other error of the template, where it refuses the conversation.
        """
        return str(
            self._apply_template(conversation, tokenize=False, add_generation_prompt=add_generation_prompt)
        )

    def answer_mask(self, conversation: Conversation) -> list[bool]:
        """Which tokens of the rendered conversation the template's own `{% generation %}` marks as the assistant's."""
        rendered = self._apply_template(
            conversation, tokenize=True, return_dict=True, return_assistant_tokens_mask=True
        )
        return [bool(marked) for marked in rendered["assistant_masks"]]

    def encode(self, text: str) -> list[int]:
        """The token ids of a rendered text: the template has written the special tokens already."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def token_ids(self, conversation: Conversation, *, add_generation_prompt: bool) -> list[int]:
        """The token ids of the rendered conversation."""
        return self.encode(self.render(conversation, add_generation_prompt=add_generation_prompt))

    def _apply_template(self, conversation: Conversation, **options: Any) -> Any:
        given = template_input(conversation, self.tokenizer)
        return self.tokenizer.apply_chat_template(
            given.messages, tools=given.tools, **template_variables(), **options
        )


def fetch_base_model(name: str, models_folder: Path, folder: Path | None = None) -> LocalBaseModel:
    """The base model `name`, whose files are in `folder`; `luthier/tiny` is built below `models_folder`.

    Raises `TrainingFailed` when the files are missing, or the tokenizer has no end-of-sequence (EOS) token.
    """
    folder = tiny.ensure_model(models_folder) if name == tiny.NAME else folder
    if folder is None or not folder.is_dir():
        raise TrainingFailed("The files of the base model are not on this machine.")
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    warnings = tuple(_ensure_chat_template(tokenizer))
    if tokenizer.eos_token is None:
        raise TrainingFailed(
            "The base model's tokenizer has no end-of-sequence (EOS) token, so a fine-tuned model could never stop."
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return LocalBaseModel(folder, weights_digest(folder), tokenizer, warnings)


def _ensure_chat_template(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    if tokenizer.chat_template:
        return []
    knows_chatml = "<|im_end|>" in tokenizer.get_vocab()
    tokenizer.chat_template = CHATML if knows_chatml else chatml_with_eos_token(tokenizer.eos_token or "")
    return ["The base model brings no chat template; it was trained with ChatML, which the GGUF carries."]


def _model_class(folder: Path) -> type[AutoModelForCausalLM | AutoModelForImageTextToText]:
    """Transformers has no language model for some multimodal configurations: the whole model is one, asked without images."""
    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    if type(config) in MODEL_FOR_CAUSAL_LM_MAPPING:
        causal: type[AutoModelForCausalLM] = AutoModelForCausalLM
        return causal
    multimodal: type[AutoModelForImageTextToText] = AutoModelForImageTextToText
    return multimodal


def _dtype() -> torch.dtype:
    if not torch.cuda.is_available():
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


def _nf4_config() -> BitsAndBytesConfig:
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=_dtype(),
    )
