"""How large a document and its variables may be, whatever they ask for."""

from collections.abc import Iterator, Mapping
from typing import Any

from graphql import DocumentNode, GraphQLError, OperationDefinitionNode, Token, TokenKind

MAX_TOKENS = 2_000
MAX_LENGTH = 100_000
MAX_LINES = 10_000
MAX_OPERATIONS = 10
MAX_FRAGMENTS = 50
MAX_SPREADS = 100
MAX_DIRECTIVES = 50
MAX_ITEMS = 250
MAX_TEXT = 65_536
MAX_DIGITS = 100


MAX_REPORTED = 1_000_000
"""No `actual` and no cost is said to be more: fragments that double each other reach any number."""


def limit_error(
    message: str, reason: str, limit: int, actual: int | None = None, *, code: str = "QUERY_TOO_COMPLEX"
) -> GraphQLError:
    """A top-level error that says which limit was passed, and by how much where that is known."""
    facts: dict[str, Any] = {"code": code, "reason": reason, "limit": limit}
    if actual is not None:
        facts["actual"] = min(actual, MAX_REPORTED)
    return GraphQLError(message, extensions=facts)


def first_exceeded(counts: Mapping[str, tuple[str, int, int]]) -> GraphQLError | None:
    """The refusal of the first of these counts that passes its limit: `reason: (what, actual, limit)`."""
    for reason, (what, actual, limit) in counts.items():
        if actual > limit:
            message = (
                f"The document has {min(actual, MAX_REPORTED):,} {what} and may have {limit:,}: "
                "ask for less, or in several requests."
            )
            return limit_error(message, reason, limit, actual)
    return None


def text_error(query: str) -> GraphQLError | None:
    """Why a text is not even parsed: the parser reads it sign by sign, and every error counts its lines."""
    lines = query.count("\n") + query.count("\r") + 1
    return first_exceeded(
        {
            "DOCUMENT_TOO_LONG": ("characters", len(query), MAX_LENGTH),
            "TOO_MANY_LINES": ("lines", lines, MAX_LINES),
        }
    )


def _tokens(document: DocumentNode) -> Iterator[Token]:
    token = document.loc.start_token if document.loc else None
    while token is not None:
        yield token
        token = token.next


class DocumentCounts:
    """What stands in a document, counted token by token: neither nesting nor fragments make it grow."""

    def __init__(self, document: DocumentNode) -> None:
        self.tokens = self.directives = self.spreads = self.items = self.text = self.digits = 0
        self.operations = sum(isinstance(it, OperationDefinitionNode) for it in document.definitions)
        self.fragments = len(document.definitions) - self.operations
        self._open: list[int] = []  # how many values each open bracket has; a brace begins far below none
        for token in _tokens(document):
            token.prev = None  # a chain that is linked both ways would wait for the garbage collector
            self.tokens += 1
            self._track_brackets(token.kind)
            self._count_token(token.kind, token.value or "")

    def _track_brackets(self, kind: TokenKind) -> None:
        """Follow the brackets, and count the values in each."""
        if kind in CLOSES:
            self._open.pop()
            return
        if self._open and kind not in PUNCTUATION:
            self._open[-1] += 1
            self.items = max(self.items, self._open[-1])
        if kind in OPENS:
            self._open.append(OPENS[kind])

    def _count_token(self, kind: TokenKind, value: str) -> None:
        if kind is TokenKind.AT:
            self.directives += 1
        elif kind is TokenKind.SPREAD:
            self.spreads += 1
        elif kind is TokenKind.INT:
            self.digits = max(self.digits, len(value))
        elif kind in TEXTS:
            self.text = max(self.text, len(value))

    def error(self) -> GraphQLError | None:
        """The refusal for the first limit that the document passes."""
        counts = {
            "TOO_MANY_OPERATIONS": ("operations", self.operations, MAX_OPERATIONS),
            "TOO_MANY_FRAGMENTS": ("fragments", self.fragments, MAX_FRAGMENTS),
            "TOO_MANY_SPREADS": ("spreads of fragments", self.spreads, MAX_SPREADS),
            "TOO_MANY_DIRECTIVES": ("directives", self.directives, MAX_DIRECTIVES),
        }
        return first_exceeded(counts) or _input_error(self.items, self.text, self.digits)


OPENS = {TokenKind.BRACKET_L: 0, TokenKind.BRACE_L: -MAX_TOKENS}
CLOSES = frozenset({TokenKind.BRACKET_R, TokenKind.BRACE_R})
PUNCTUATION = frozenset({TokenKind.DOLLAR, TokenKind.COMMENT})
"""What stands in a list and is no value of it."""
TEXTS = frozenset({TokenKind.STRING, TokenKind.BLOCK_STRING})


def _input_error(items: int = 0, text: int = 0, digits: int = 0) -> GraphQLError | None:
    """The refusal of an input whose longest list, text or whole number is too long."""
    if items > MAX_ITEMS:
        message = f"A list of the input has {items:,} items: give at most {MAX_ITEMS} at once."
        return limit_error(message, "TOO_MANY_ITEMS", MAX_ITEMS, items, code="BAD_USER_INPUT")
    if text > MAX_TEXT:
        message = f"A text of the input has {text:,} characters: give at most {MAX_TEXT:,}."
        return limit_error(message, "TEXT_TOO_LONG", MAX_TEXT, text, code="BAD_USER_INPUT")
    if digits > MAX_DIGITS:
        message = f"A number of the input has more than {MAX_DIGITS} digits: give a smaller one."
        return limit_error(message, "NUMBER_TOO_LONG", MAX_DIGITS, code="BAD_USER_INPUT")
    return None


def variables_error(variables: Mapping[str, Any] | None) -> GraphQLError | None:
    """The refusal for the first limit that the values of variables pass, however they are nested."""
    waiting: list[Any] = list(variables.values()) if variables else []
    while waiting:
        value = waiting.pop()
        if error := _value_error(value):
            return error
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            waiting += value.values()
    return None


def _value_error(value: Any) -> GraphQLError | None:
    if isinstance(value, list):
        return _input_error(items=len(value))
    if isinstance(value, str):
        return _input_error(text=len(value))
    if isinstance(value, int) and value.bit_length() > 4 * MAX_DIGITS:
        return _input_error(digits=MAX_DIGITS + 1)
    return None
