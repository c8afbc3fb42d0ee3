"""Greedy answers of a torch model, many prompts at a time."""

from collections.abc import Iterator, Sequence

import torch
from transformers import GenerationConfig, PreTrainedModel

from infra.training.base_model import Base

BATCH = 8


def greedy(
    model: PreTrainedModel, base: Base, prompts: Sequence[list[int]], stops: set[int], max_tokens: int
) -> list[str]:
    """What the model answers to each prompt of token ids, without special tokens."""
    config = GenerationConfig(
        do_sample=False,
        num_beams=1,
        repetition_penalty=1.0,  # some models bring another, which llama.cpp does not know
        max_new_tokens=max_tokens,
        eos_token_id=sorted(stops),
        pad_token_id=base.tokenizer.pad_token_id,
    )
    return [text for part in _parts(prompts) for text in _answers(model, base, part, config)]


def stop_tokens(model: PreTrainedModel, base: Base) -> set[int]:
    """The tokens at which an answer ends: the tokenizer's, the model's own, and what the template closes a turn with."""
    own = model.generation_config.eos_token_id
    turn = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "a"}]
    special = set(base.tokenizer.all_special_ids)
    closing = [each for each in base.token_ids(turn, answering=False)[-3:] if each in special]
    return {base.tokenizer.eos_token_id, *([own] if isinstance(own, int) else own or []), *closing}


def _parts(prompts: Sequence[list[int]]) -> Iterator[Sequence[list[int]]]:
    return (prompts[at : at + BATCH] for at in range(0, len(prompts), BATCH))


def _answers(
    model: PreTrainedModel, base: Base, prompts: Sequence[list[int]], config: GenerationConfig
) -> list[str]:
    width = max(map(len, prompts))
    pad = base.tokenizer.pad_token_id
    # Padded on the left: the answers all begin where the prompts end.
    ids = torch.tensor([[pad] * (width - len(each)) + each for each in prompts], device=model.device)
    mask = torch.tensor(
        [[0] * (width - len(each)) + [1] * len(each) for each in prompts], device=model.device
    )
    with torch.inference_mode():
        out = model.generate(input_ids=ids, attention_mask=mask, generation_config=config)
    return [str(text) for text in base.tokenizer.batch_decode(out[:, width:], skip_special_tokens=True)]
