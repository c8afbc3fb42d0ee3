"""The prompts on which a GGUF is compared: of each kind that the items have, bare questions to tool results."""

from collections.abc import Hashable, Iterable, Iterator, Sequence

from domain.conversations import Conversation
from infra.training.data import TokenizedItem

SYSTEM_ROLES = {"system", "developer"}


def parity_prompts(items: Iterable[TokenizedItem], count: int) -> list[Conversation]:
    """At most `count` conversations that ask for a learned turn, as many of each kind as there are, evenly spread."""
    by_kind: dict[Hashable, list[Conversation]] = {}
    for item in items:
        for asked in _asked(item):
            by_kind.setdefault(_kind(asked), []).append(asked)
    kinds = list(by_kind.values())
    numbers = _shares([len(prompts) for prompts in kinds], count)
    return [
        prompts[index * len(prompts) // number]
        for prompts, number in zip(kinds, numbers, strict=True)
        for index in range(number)
    ]


def _asked(item: TokenizedItem) -> Iterator[Conversation]:
    turns = sorted({turn for text in item.texts for turn in text.turns})
    return map(item.item.asked_before, turns)


def _kind(asked: Conversation) -> Hashable:
    """What a chat template treats differently: system messages, earlier answers, tools, and who spoke last."""
    roles = [message["role"] for message in asked.messages]
    return roles[0] in SYSTEM_ROLES, "assistant" in roles, bool(asked.tools), roles[-1]


def _shares(sizes: Sequence[int], count: int) -> list[int]:
    """How many to take of each of several lists, of `sizes`, to have `count` in all and as many of each as can be."""
    shares = [0] * len(sizes)
    while sum(shares) < min(count, sum(sizes)):
        open_kinds = [index for index, size in enumerate(sizes) if shares[index] < size]
        shares[min(open_kinds, key=lambda index: shares[index])] += 1
    return shares
