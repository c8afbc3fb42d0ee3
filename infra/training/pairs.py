"""The frozen preference pairs as token ids. Pairs that are left out are counted, for the user's warnings."""

from collections.abc import Sequence
from dataclasses import replace

from domain.conversations import Conversation, Message
from infra.training.base_model import LocalBaseModel
from infra.training.data import TEMPLATE_ERRORS, TokenizedItem, TokenizedSplit
from infra.training.findings import Finding, Findings
from infra.training.items_file import PreferenceItem
from infra.training.label_checks import LabelChecks
from infra.training.labels import LabelledText, labelled_ending


def tokenize_pairs(
    items: Sequence[PreferenceItem], base_model: LocalBaseModel, max_length: int
) -> TokenizedSplit:
    """Tokenize `items`: of each, the text that ends with the better answer, and the one that ends with the worse.

    A pair is never truncated: half an answer is another answer. It is left out where one of the two texts has more than
    `max_length` tokens, where both are the same, or where the chat template writes nothing of an answer.
    """
    tokenized: list[TokenizedItem] = []
    findings, checks = Findings(), LabelChecks.of(base_model)
    for item in items:
        endings = (item.preference.preferred, item.preference.non_preferred)
        try:
            texts = tuple(labelled_ending(base_model, item.asked, ending) for ending in endings)
        except TEMPLATE_ERRORS as error:
            findings.add_refusal(error)
            continue
        reason = _reason_to_leave_out(texts, max_length)
        if reason is None:
            tokenized.append(TokenizedItem(item, texts))
        findings.counts.update({reason} if reason else _findings(checks, item, endings, texts))
    return TokenizedSplit(tuple(tokenized), findings)


def _reason_to_leave_out(texts: tuple[LabelledText, ...], max_length: int) -> Finding | None:
    if not all(text.turns for text in texts):
        return Finding.ANSWERS_LOST
    if any(len(text.input_ids) > max_length for text in texts):
        return Finding.PAIR_TOO_LONG
    preferred, non_preferred = texts
    return Finding.ANSWERS_ALIKE if preferred.input_ids == non_preferred.input_ids else None


def _findings(
    checks: LabelChecks, item: PreferenceItem, endings: tuple[Message, ...], texts: tuple[LabelledText, ...]
) -> set[Finding]:
    return {
        finding
        for ending, text in zip(endings, texts, strict=True)
        for finding in checks.findings(_only_ending_learned(item.asked, ending), [text])
    }


def _only_ending_learned(asked: Conversation, ending: Message) -> Conversation:
    """The whole conversation, in which no earlier answer is one to learn."""
    earlier = (
        message | {"weight": 0} if message["role"] == "assistant" else message for message in asked.messages
    )
    return replace(asked, messages=[*earlier, ending])
