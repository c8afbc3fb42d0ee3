"""Which tokens of a conversation are learned: those of its assistant messages, found by prefix difference."""

from dataclasses import dataclass, replace
from functools import partial

from domain.conversations import Conversation, Message
from infra.training.base_model import LocalBaseModel

IGNORED_LABEL = -100
"""The label of a token that the loss does not count."""


@dataclass(frozen=True, slots=True)
class LabelledText:
    """A rendered conversation that ends with a learned turn, its token ids and their labels.

    `turns` has the range of token ids that are learned, by the index of the assistant message that they render. All other
    labels are `IGNORED_LABEL`. `prompt_differs` where a turn's prompt, as it is asked, is no prefix of `input_ids`.
    """

    text: str
    input_ids: list[int]
    turns: dict[int, range]
    prompt_differs: bool

    @property
    def labels(self) -> list[int]:
        """The label of each token."""
        labels = [IGNORED_LABEL] * len(self.input_ids)
        for tokens in self.turns.values():
            labels[tokens.start : tokens.stop] = self.input_ids[tokens.start : tokens.stop]
        return labels

    @property
    def prompt_ids(self) -> list[int]:
        """The token ids before the last learned turn."""
        return self.input_ids[: self._last_start]

    @property
    def ending_ids(self) -> list[int]:
        """The token ids of the last learned turn, its end token among them."""
        return self.input_ids[self._last_start :]

    @property
    def _last_start(self) -> int:
        return max((tokens.start for tokens in self.turns.values()), default=len(self.input_ids))

    def truncated(self, max_length: int) -> "LabelledText":
        """The first `max_length` tokens; turns that begin behind them are left out."""
        turns = {
            index: range(tokens.start, min(tokens.stop, max_length))
            for index, tokens in self.turns.items()
            if tokens.start < max_length
        }
        return replace(self, input_ids=self.input_ids[:max_length], turns=turns)


def learned_turns(conversation: Conversation) -> list[int]:
    """The indexes of the assistant messages to learn: those with something before them and no `weight` of 0."""
    return [
        index
        for index, message in enumerate(conversation.messages)
        if message["role"] == "assistant" and message.get("weight") != 0 and index
    ]


def labelled_texts(base_model: LocalBaseModel, conversation: Conversation) -> list[LabelledText]:
    """Texts that together teach each learned turn of the conversation once, as it is rendered where the model is asked.

    It is one text where the chat template preserves prefixes. A template that renders a turn differently once others
    follow, as those do that leave out the reasoning of earlier turns, needs another text that ends with that turn.
    Raises `jinja2.TemplateError` and other errors of the template where it refuses the conversation.
    """
    texts: list[LabelledText] = []
    remaining = learned_turns(conversation)
    while remaining:
        texts.append(_labelled_text(base_model, conversation, remaining))
        remaining = [turn for turn in remaining[:-1] if turn not in texts[-1].turns]
    return texts


def labelled_ending(base_model: LocalBaseModel, asked: Conversation, ending: Message) -> LabelledText:
    """The text of a conversation that asks and of the assistant message that ends it, which alone is learned."""
    whole = replace(asked, messages=[*asked.messages, ending])
    return _labelled_text(base_model, whole, [len(asked.messages)])


def _labelled_text(base_model: LocalBaseModel, conversation: Conversation, turns: list[int]) -> LabelledText:
    """The text up to the last of `turns`, in which that one is learned, and all others that are rendered as when asked.

    A turn of which the template renders nothing is learned nowhere.
    """
    *earlier, last = turns
    text = base_model.render(beginning(conversation, last + 1), add_generation_prompt=False)
    ids = base_model.encode(text)
    span_of = partial(_span, base_model, conversation, text=text, ids=ids)
    spans = {turn: span for turn in earlier if (span := span_of(turn)) is not None}
    prompt_ids = base_model.token_ids(beginning(conversation, last), add_generation_prompt=True)
    start = common_prefix_length(prompt_ids, ids)
    spans[last] = range(start, len(ids))
    learned = {turn: span for turn, span in spans.items() if span}
    return LabelledText(text, ids, learned, prompt_differs=start < len(prompt_ids))


def _span(
    base_model: LocalBaseModel, conversation: Conversation, turn: int, *, text: str, ids: list[int]
) -> range | None:
    """The token ids that render a turn; None where they are others when the conversation ends with it."""
    prompt = base_model.render(beginning(conversation, turn), add_generation_prompt=True)
    whole = base_model.render(beginning(conversation, turn + 1), add_generation_prompt=False)
    prompt_ids = base_model.encode(prompt)
    start = common_prefix_length(prompt_ids, ids)
    if not text.startswith(whole) or start < len(prompt_ids):
        return None
    return range(start, common_prefix_length(base_model.encode(whole), ids))


def beginning(conversation: Conversation, length: int) -> Conversation:
    """The conversation with its first `length` messages."""
    return replace(conversation, messages=conversation.messages[:length])


def common_prefix_length(first: list[int], second: list[int]) -> int:
    """How many token ids both begin with."""
    pairs = zip(first, second, strict=False)
    shorter = min(len(first), len(second))
    return next((index for index, (left, right) in enumerate(pairs) if left != right), shorter)
