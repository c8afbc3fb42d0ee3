"""Limits on the size of a document and of its variables, whatever the operation selects."""

from collections.abc import Iterator, Mapping
from typing import Any

from graphql import DocumentNode, GraphQLError, OperationDefinitionNode, Token, TokenKind

MAX_TOKENS = 2_000
MAX_CHARACTERS = 100_000
MAX_LINES = 10_000
MAX_OPERATIONS = 10
MAX_FRAGMENTS = 50
MAX_SPREADS = 100
MAX_DIRECTIVES = 50
MAX_LIST_ITEMS = 250
MAX_STRING_CHARACTERS = 65_536
MAX_INT_DIGITS = 100

MAX_REPORTED = 1_000_000
"""The largest `actual` and cost that are reported: fragments that spread each other twice reach any number."""


def limit_error(
    message: str, reason: str, limit: int, actual: int | None = None, *, code: str = "QUERY_TOO_COMPLEX"
) -> GraphQLError:
    """A request error whose extensions name the limit, and what it was exceeded by where that is known."""
    extensions: dict[str, Any] = {"code": code, "reason": reason, "limit": limit}
    if actual is not None:
        extensions["actual"] = min(actual, MAX_REPORTED)
    return GraphQLError(message, extensions=extensions)


def first_exceeded(counts: Mapping[str, tuple[str, int, int]]) -> GraphQLError | None:
    """The error of the first count above its limit; `counts` maps reasons to (what is counted, actual, limit)."""
    for reason, (noun, actual, limit) in counts.items():
        if actual > limit:
            message = (
                f"The document has {min(actual, MAX_REPORTED):,} {noun} and may have {limit:,}: "
                "ask for less, or in several requests."
            )
            return limit_error(message, reason, limit, actual)
    return None


def source_error(query: str) -> GraphQLError | None:
    """The error of a text that is too long to be parsed: the lexer reads every character, each error counts lines."""
    lines = query.count("\n") + query.count("\r") + 1
    return first_exceeded(
        {
            "DOCUMENT_TOO_LONG": ("characters", len(query), MAX_CHARACTERS),
            "TOO_MANY_LINES": ("lines", lines, MAX_LINES),
        }
    )


def _tokens(document: DocumentNode) -> Iterator[Token]:
    token = document.loc.start_token if document.loc else None
    while token is not None:
        yield token
        token = token.next


class DocumentCounts:
    """The counts of a document, taken over its tokens: neither nesting nor fragments multiply the work.

    `list_items`, `string_characters` and `int_digits` are those of the longest literal.
    """

    def __init__(self, document: DocumentNode) -> None:
        self.tokens = self.directives = self.spreads = 0
        self.list_items = self.string_characters = self.int_digits = 0
        self.operations = sum(
            isinstance(definition, OperationDefinitionNode) for definition in document.definitions
        )
        self.fragments = len(document.definitions) - self.operations
        self._open_brackets: list[int] = []  # the number of values in each
        for token in _tokens(document):
            token.prev = None  # circular references would wait for the garbage collector
            self.tokens += 1
            self._track_brackets(token.kind)
            self._count_token(token.kind, token.value or "")

    def _track_brackets(self, kind: TokenKind) -> None:
        if kind in CLOSING:
            self._open_brackets.pop()
            return
        if self._open_brackets and kind not in NOT_VALUES:
            self._open_brackets[-1] += 1
            self.list_items = max(self.list_items, self._open_brackets[-1])
        if kind in OPENING:
            self._open_brackets.append(OPENING[kind])

    def _count_token(self, kind: TokenKind, value: str) -> None:
        if kind is TokenKind.AT:
            self.directives += 1
        elif kind is TokenKind.SPREAD:
            self.spreads += 1
        elif kind is TokenKind.INT:
            self.int_digits = max(self.int_digits, len(value))
        elif kind in STRINGS:
            self.string_characters = max(self.string_characters, len(value))

    def error(self) -> GraphQLError | None:
        """The error of the first limit that the document exceeds."""
        counts = {
            "TOO_MANY_OPERATIONS": ("operations", self.operations, MAX_OPERATIONS),
            "TOO_MANY_FRAGMENTS": ("fragments", self.fragments, MAX_FRAGMENTS),
            "TOO_MANY_SPREADS": ("spreads of fragments", self.spreads, MAX_SPREADS),
            "TOO_MANY_DIRECTIVES": ("directives", self.directives, MAX_DIRECTIVES),
        }
        return first_exceeded(counts) or _input_error(
            self.list_items, self.string_characters, self.int_digits
        )


OPENING = {TokenKind.BRACKET_L: 0, TokenKind.BRACE_L: -MAX_TOKENS}
"""The count that a bracket begins with. Tokens in braces are no values of a list: their count stays below zero."""
CLOSING = frozenset({TokenKind.BRACKET_R, TokenKind.BRACE_R})
NOT_VALUES = frozenset({TokenKind.DOLLAR, TokenKind.COMMENT})
"""Tokens that may stand in a list without being a value of it."""
STRINGS = frozenset({TokenKind.STRING, TokenKind.BLOCK_STRING})


def _input_error(list_items: int = 0, string_characters: int = 0, int_digits: int = 0) -> GraphQLError | None:
    """The error of an input value whose longest list, string or whole number is too long."""
    if list_items > MAX_LIST_ITEMS:
        message = f"A list of the input has {list_items:,} items: give at most {MAX_LIST_ITEMS} at once."
        return limit_error(message, "TOO_MANY_ITEMS", MAX_LIST_ITEMS, list_items, code="BAD_USER_INPUT")
    if string_characters > MAX_STRING_CHARACTERS:
        limit = MAX_STRING_CHARACTERS
        message = f"A text of the input has {string_characters:,} characters: give at most {limit:,}."
        return limit_error(message, "TEXT_TOO_LONG", limit, string_characters, code="BAD_USER_INPUT")
    if int_digits > MAX_INT_DIGITS:
        message = f"A number of the input has more than {MAX_INT_DIGITS} digits: give a smaller one."
        return limit_error(message, "NUMBER_TOO_LONG", MAX_INT_DIGITS, code="BAD_USER_INPUT")
    return None


def variables_error(variables: Mapping[str, Any] | None) -> GraphQLError | None:
    """The error of the first limit that the values of variables exceed, however they are nested."""
    remaining: list[Any] = list(variables.values()) if variables else []
    while remaining:
        value = remaining.pop()
        if error := _value_error(value):
            return error
        if isinstance(value, list):
            remaining += value
        elif isinstance(value, dict):
            remaining += value.values()
    return None


def _value_error(value: Any) -> GraphQLError | None:
    if isinstance(value, list):
        return _input_error(list_items=len(value))
    if isinstance(value, str):
        return _input_error(string_characters=len(value))
    if isinstance(value, int) and value.bit_length() > 4 * MAX_INT_DIGITS:
        return _input_error(int_digits=MAX_INT_DIGITS + 1)
    return None
