"""A SentencePiece tokenizer from a GGUF's vocabulary: pieces, scores and types, as its tokenizer.model had them."""

import re
from pathlib import Path
from typing import Any

from sentencepiece import sentencepiece_model_pb2 as sentencepiece
from transformers import LlamaTokenizer, PreTrainedTokenizerBase

from infra.training.gguf_header import GgufHeader

BPE = 2
TOKENIZER_MODEL = "tokenizer.model"
SPECIAL_TOKENS = {
    "bos_token": "bos_token_id",
    "eos_token": "eos_token_id",
    "unk_token": "unknown_token_id",
    "pad_token": "padding_token_id",
}
"""transformers' name of each special token, and the GGUF's key of its id."""
CONTROL, BYTE = 3, 6
BYTE_PIECE = re.compile("<0x[0-9A-F]{2}>")


def sentencepiece_tokenizer(header: GgufHeader, folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer, whose tokenizer.model is written into `folder`: llama.cpp's converter reads it too."""
    (folder / TOKENIZER_MODEL).write_bytes(_model(header).SerializeToString())
    tokens = header.fields["tokenizer.ggml.tokens"]
    ids = {name: header.fields.get(f"tokenizer.ggml.{key}") for name, key in SPECIAL_TOKENS.items()}
    special = {name: tokens[id] for name, id in ids.items() if id is not None}
    tokenizer: PreTrainedTokenizerBase = LlamaTokenizer.from_pretrained(
        folder,
        **{"bos_token": None, "eos_token": None, "unk_token": None, **special},
        additional_special_tokens=_control_tokens(header, set(special.values())),
        add_prefix_space=_flag(header, "add_space_prefix", default=True),
        add_bos_token=_flag(header, "add_bos_token", default=True),
        add_eos_token=_flag(header, "add_eos_token", default=False),
    )
    tokenizer.chat_template = header.text("tokenizer.chat_template")
    return tokenizer


def _model(header: GgufHeader) -> Any:
    fields = header.fields
    tokens = fields["tokenizer.ggml.tokens"]
    scores = fields.get("tokenizer.ggml.scores") or [0.0] * len(tokens)
    types = fields.get("tokenizer.ggml.token_type") or [1] * len(tokens)
    model = sentencepiece.ModelProto()
    for token, score, type_ in zip(tokens, scores, types, strict=True):
        model.pieces.add(piece=token, score=score, type=_type_of_piece(token, type_))
    model.trainer_spec.model_type = BPE
    model.trainer_spec.byte_fallback = True
    model.trainer_spec.vocab_size = len(tokens)
    for name, key in (("unk_id", "unknown_token_id"), ("bos_id", "bos_token_id"), ("eos_id", "eos_token_id")):
        setattr(model.trainer_spec, name, fields.get(f"tokenizer.ggml.{key}", -1))
    model.normalizer_spec.name = "identity"
    model.normalizer_spec.add_dummy_prefix = _flag(header, "add_space_prefix", default=True)
    model.normalizer_spec.remove_extra_whitespaces = _flag(header, "remove_extra_whitespaces", default=False)
    return model


def _type_of_piece(token: str, type_: int) -> int:
    """The GGUF's type, which is SentencePiece's; but a GGUF may have bytes that no text has as unused ones."""
    return BYTE if BYTE_PIECE.fullmatch(token) else type_


def _control_tokens(header: GgufHeader, known: set[str]) -> list[str]:
    tokens = header.fields["tokenizer.ggml.tokens"]
    types = header.fields.get("tokenizer.ggml.token_type") or []
    return [
        token for token, type_ in zip(tokens, types, strict=False) if type_ == CONTROL and token not in known
    ]


def _flag(header: GgufHeader, name: str, *, default: bool) -> bool:
    return bool(header.fields.get(f"tokenizer.ggml.{name}", default))
