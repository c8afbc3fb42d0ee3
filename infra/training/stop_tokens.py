"""The tokens that end an answer, and whether the base model has learned them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from domain.conversations import Conversation
from infra.training.base_model import LocalBaseModel

ANSWERED = Conversation(messages=[{"role": "user", "content": "a"}, {"role": "assistant", "content": "a"}])
MATRICES = ("embed_tokens.weight", "wte.weight", "embed_in.weight", "lm_head.weight", "embed_out.weight")
"""How the names of the embedding and of the output layer end: a row of theirs belongs to a token."""
MAX_COMPARED = 2048
LEAST_TRAINED = 1e-12
"""A row in which every number is closer to 0 was never trained."""
NOT_TRAINED = (
    "The base model never learned the token {token!r}, which ends each answer, and LoRA does not train it: the "
    "fine-tuned model may not stop; the instruct version of the base model knows it."
)


def closing_token_ids(base_model: LocalBaseModel) -> list[int]:
    """The special tokens with which the chat template closes an assistant turn."""
    special = {*base_model.tokenizer.all_special_ids, *base_model.tokenizer.get_added_vocab().values()}
    last_ids = base_model.token_ids(ANSWERED, add_generation_prompt=False)[-3:]
    return [token_id for token_id in last_ids if token_id in special]


def untrained_token_warnings(base_model: LocalBaseModel) -> list[str]:
    """A warning for each closing token that the base model never learned."""
    tokenizer = base_model.tokenizer
    untrained = [
        token_id for token_id in closing_token_ids(base_model) if _is_untrained(base_model, token_id)
    ]
    return [NOT_TRAINED.format(token=tokenizer.convert_ids_to_tokens(token_id)) for token_id in untrained]


def _is_untrained(base_model: LocalBaseModel, token_id: int) -> bool:
    """Whether the token's row of the embedding or the output layer is one that training does not leave.

    It is missing, or all zeros, or equal in every number to the row of another added token or to one behind the
    vocabulary: a model is made with such rows alike, and training tells apart those of tokens that it reads.
    """
    tokenizer = base_model.tokenizer
    added = set(tokenizer.get_added_vocab().values()) - {token_id}
    for rows in _matrices(base_model.folder):
        count = rows.get_shape()[0]
        if token_id >= count:
            return True
        row = rows[token_id : token_id + 1]
        others = [other for other in (*sorted(added), *range(len(tokenizer), count)) if other < count]
        if row.abs().max() < LEAST_TRAINED:
            return True
        if any(torch.equal(row, rows[other : other + 1]) for other in others[:MAX_COMPARED]):
            return True
    return False


def _matrices(folder: Path) -> Iterator[Any]:
    """The embedding and the output layer in the safetensors files, of which a slice is read when it is asked for."""
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as tensors:
            yield from (tensors.get_slice(name) for name in tensors.offset_keys() if name.endswith(MATRICES))
