"""What may be wrong with an item that is learned from, and the sentence that warns of it."""

from enum import Enum


class Finding(Enum):
    """A sentence about one item and one about several: `{items}` is their number, `{limit}` the greatest of tokens."""

    TRUNCATED = (
        "{items} was longer than {limit} tokens and was truncated.",
        "{items} were longer than {limit} tokens and were truncated.",
    )
    PROMPT_TOO_LONG = (
        "{items} was left out: its prompt alone fills {limit} tokens.",
        "{items} were left out: their prompt alone fills {limit} tokens.",
    )
    PROMPT_DIFFERS = (
        "In {items} the chat template renders the prompt differently when an answer follows; "
        "the model was trained on a prompt that differs from the one it is asked."
    )

    def sentence(self, number: int, split: str, max_length: int) -> str:
        """The warning about `number` items of a split, which has at most `max_length` tokens of each."""
        items = f"{number} {split} {'item' if number == 1 else 'items'}"
        forms = (self.value, self.value) if isinstance(self.value, str) else self.value
        return str(forms[number != 1].format(items=items, limit=max_length))
