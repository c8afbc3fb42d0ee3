"""Greedy generation by a torch model, many prompts at a time."""

from collections.abc import Iterator, Sequence

import torch
from transformers import GenerationConfig, PreTrainedModel

from infra.training.base_model import LocalBaseModel
from infra.training.stop_tokens import closing_token_ids

BATCH_SIZE = 8


def generate_greedily(
    model: PreTrainedModel,
    base_model: LocalBaseModel,
    prompts: Sequence[list[int]],
    eos_ids: set[int],
    max_tokens: int,
) -> list[str]:
    """The model's output for each prompt of token ids, without special tokens."""
    config = GenerationConfig(
        do_sample=False,
        num_beams=1,
        repetition_penalty=1.0,  # some models' own configuration has another, which llama.cpp does not know
        max_new_tokens=max_tokens,
        eos_token_id=sorted(eos_ids),
        pad_token_id=base_model.tokenizer.pad_token_id,
    )
    return [text for batch in _batches(prompts) for text in _generate_batch(model, base_model, batch, config)]


def eos_token_ids(model: PreTrainedModel, base_model: LocalBaseModel) -> set[int]:
    """The tokens that end an output: the tokenizer's, the model's, and those with which the template closes a turn."""
    own = model.generation_config.eos_token_id
    return {
        base_model.tokenizer.eos_token_id,
        *([own] if isinstance(own, int) else own or []),
        *closing_token_ids(base_model),
    }


def _batches(prompts: Sequence[list[int]]) -> Iterator[Sequence[list[int]]]:
    return (prompts[start : start + BATCH_SIZE] for start in range(0, len(prompts), BATCH_SIZE))


def _generate_batch(
    model: PreTrainedModel,
    base_model: LocalBaseModel,
    prompts: Sequence[list[int]],
    config: GenerationConfig,
) -> list[str]:
    width = max(map(len, prompts))
    pad = base_model.tokenizer.pad_token_id
    # Padded on the left, so that every output begins at the same position.
    ids = [[pad] * (width - len(prompt)) + prompt for prompt in prompts]
    mask = [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    with torch.inference_mode():
        out = model.generate(
            input_ids=torch.tensor(ids, device=model.device),
            attention_mask=torch.tensor(mask, device=model.device),
            generation_config=config,
        )
    return [str(text) for text in base_model.tokenizer.batch_decode(out[:, width:], skip_special_tokens=True)]
