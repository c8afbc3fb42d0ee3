"""Problems of items: their codes, and the rules that an item's values are held to."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Any

from domain import conversation_texts as chats
from domain.control_tokens import control_token_in
from domain.conversation_checks import conversation_faults, preference_faults
from domain.conversations import ItemFormat
from domain.datasets import Dataset
from domain.item_texts import ItemTexts
from domain.json_values import strings_in
from domain.message_checks import message_name

BLANK_CONVERSATION = "No assistant message to learn from has a text or a tool call."
BLANK_PREFERENCE = "The preferred output has neither a text nor a tool call."
MAX_OF_ONE_CODE = 5
"""Most problems of one code that an item is stored with."""


class ProblemCode(StrEnum):
    """Code of a problem of an item."""

    JSON_INVALID = "JSON_INVALID"
    FIELD_MISSING = "FIELD_MISSING"
    OUTPUT_TOO_SHORT = "OUTPUT_TOO_SHORT"
    OUTPUT_TOO_LONG = "OUTPUT_TOO_LONG"
    DUPLICATE = "DUPLICATE"
    NEAR_DUPLICATE = "NEAR_DUPLICATE"
    TOO_MANY_TOKENS = "TOO_MANY_TOKENS"
    NOT_GROUNDED = "NOT_GROUNDED"
    LANGUAGE_MISMATCH = "LANGUAGE_MISMATCH"
    PII = "PII"
    NOT_TEXT = "NOT_TEXT"
    CONTRADICTION = "CONTRADICTION"
    CONVERSATION_INVALID = "CONVERSATION_INVALID"
    CONTROL_TOKENS = "CONTROL_TOKENS"


FORMAT_CODES = frozenset(
    {ProblemCode.JSON_INVALID, ProblemCode.FIELD_MISSING, ProblemCode.CONVERSATION_INVALID}
)
"""Codes of values that are no item of the dataset's format."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem of an item, with a sentence about it; the item is valid where all its problems are warnings."""

    code: ProblemCode
    message: str
    is_warning: bool = False


DUPLICATE = Problem(ProblemCode.DUPLICATE, "An earlier item has the same input and output.")
NEAR_DUPLICATE = Problem(
    ProblemCode.NEAR_DUPLICATE, "An earlier item differs in case and spacing alone.", is_warning=True
)
CONTRADICTION = Problem(
    ProblemCode.CONTRADICTION, "Another item has the same input and another output.", is_warning=True
)


def is_free_of_errors(problems: Sequence[Problem]) -> bool:
    """Whether all problems are warnings, or there are none."""
    return not problems or all(problem.is_warning for problem in problems)


def problems_of(dataset: Dataset, values: Mapping[str, str], texts: ItemTexts) -> Iterator[Problem]:
    """The problems of an item's values, whatever other items there are."""
    if dataset.item_format is ItemFormat.PROMPT_COMPLETION:
        yield from _text_problems(dataset, values)
    elif texts.json is None:
        yield Problem(ProblemCode.CONVERSATION_INVALID, texts.fault or "")
        return
    else:
        yield from _message_problems(dataset, texts, texts.json)
        if any(map(_may_spell_control_token, values.values())):
            yield from islice(_control_token_problems(texts.json), MAX_OF_ONE_CODE)
    yield from _size_problems(dataset, texts)


def _text_problems(dataset: Dataset, values: Mapping[str, str]) -> Iterator[Problem]:
    for name in (dataset.input_field, dataset.output_field):
        text = values[name]
        if not text.strip():
            yield Problem(ProblemCode.FIELD_MISSING, f"The field '{name}' is empty.")
        elif (token := control_token_in(text)) is not None:
            yield _control_token_problem(f"The field '{name}'", token)


def _control_token_problem(what: str, token: str) -> Problem:
    message = f"{what} spells the control token '{token}', which is learned as text."
    return Problem(ProblemCode.CONTROL_TOKENS, message, is_warning=True)


def _message_problems(dataset: Dataset, texts: ItemTexts, found: Mapping[str, Any]) -> Iterator[Problem]:
    is_preference = dataset.item_format is ItemFormat.PREFERENCE
    required = dataset.field_names if is_preference else (dataset.input_field,)
    missing = [name for name in required if name not in found]
    for name in missing:
        yield Problem(ProblemCode.FIELD_MISSING, f"The field '{name}' is empty.")
    if missing:
        return
    faults = list(
        islice(preference_faults(found) if is_preference else conversation_faults(found), MAX_OF_ONE_CODE)
    )
    for fault in faults:
        yield Problem(ProblemCode.CONVERSATION_INVALID, fault)
    if not faults and texts.is_blank:
        yield Problem(ProblemCode.FIELD_MISSING, BLANK_PREFERENCE if is_preference else BLANK_CONVERSATION)


def _may_spell_control_token(text: str) -> bool:
    """Whether a string of a JSON text spells a control token, or may do so by an escape."""
    return "\\u" in text or "\\/" in text or control_token_in(text) is not None


def _control_token_problems(found: Mapping[str, Any]) -> Iterator[Problem]:
    """A problem of each message and each list of tools that spells a control token."""
    for what, value in _named_parts(found):
        token = next(filter(None, map(control_token_in, _strings_of(value))), None)
        if token is not None:
            yield _control_token_problem(what, token)


def _named_parts(found: Mapping[str, Any], of: str = "") -> Iterator[tuple[str, Any]]:
    """The messages and the tools of an item, with what they are called in a sentence."""
    for field, value in found.items():
        if field == "input" and isinstance(value, dict):
            yield from _named_parts(value, " of `input`")
        elif field == "tools":
            yield f"`tools`{of}", value
        elif isinstance(value, list):
            suffix = of if field == "messages" else f" of `{field}`"
            for number, message in enumerate(value, 1):
                yield message_name(message, number, suffix), message


def _strings_of(value: Any) -> Iterator[str]:
    """The strings of a message or of tools, and those in the arguments of tool calls."""
    yield from strings_in(value)
    for _, arguments in chats.calls_of(value) if isinstance(value, dict) else ():
        if "\\" in arguments:
            yield from chats.values_of_arguments(arguments)


def _size_problems(dataset: Dataset, texts: ItemTexts) -> Iterator[Problem]:
    if texts.tokens > dataset.max_tokens:
        message = f"About {texts.tokens:,} tokens, more than the project's {dataset.max_tokens:,}."
        yield Problem(ProblemCode.TOO_MANY_TOKENS, message)
    expected, length = dataset.expected_output_size_chars, texts.learned_size
    if expected and length > 4 * expected:
        yield Problem(
            ProblemCode.OUTPUT_TOO_LONG, f"{length:,} characters, more than four times {expected:,}."
        )
    if expected and 0 < length < expected / 4:
        yield Problem(
            ProblemCode.OUTPUT_TOO_SHORT, f"{length:,} characters, less than a quarter of {expected:,}."
        )
