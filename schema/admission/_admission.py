"""What is let in: a document is parsed, measured and validated once; its operation is weighed for each request."""

import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    ASTValidationRule,
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    OperationType,
    parse,
    specified_rules,
    validate,
)
from graphql.validation.rules import overlapping_fields_can_be_merged as overlapping
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

from schema.admission._analysis import Analysis, Operation, too_deep, too_expensive
from schema.admission._limits import MAX_TOKENS, DocumentCounts, limit_error, text_error, variables_error

MAX_CACHED_DOCUMENTS = 512
MAX_CACHED_TOKENS = 25_000
"""Some 550 bytes each, and work for the garbage collector: this is what a stranger can fill the memory with."""


MAX_ERRORS = 5
"""Of one document; an error may print what it is about, so many of them take long."""


COMPARISONS = 8_000
"""How far the stock rule compares fields and fragments pair by pair: for no longer than some 30 ms."""
overlapping.MAX_COMPLEXITY_BUDGET = COMPARISONS


RULES: tuple[type[ASTValidationRule], ...] = (
    *specified_rules,
    MaybeNullValidationRule,
    OneOfInputValidationRule,
)


NAME_AN_OPERATION = "Must provide operation name if query contains multiple operations."
HOW_TO_SUBSCRIBE = (
    "A subscription is streamed: send the header `Accept: text/event-stream`, "
    "or use a WebSocket with the protocol graphql-transport-ws."
)


PLAIN = (bool, int, float, str)
MAX_VARIABLES_CHARS = 1_024
"""Characters of the variables that are kept with a document."""


@dataclass(frozen=True, slots=True)
class PreparedDocument:
    """A document, its operations, and what is wrong with it whatever the variables are."""

    document: DocumentNode
    operations: Mapping[str | None, Operation]
    tokens: int
    errors: list[GraphQLError]
    plans: dict[Any, dict[Any, Any]] = field(default_factory=dict)

    def plans_of(self, name: str | None, variables: Mapping[str, Any]) -> dict[Any, Any]:
        """What is found about the fields of a query, which depends on its variables: that of the last ones is kept."""
        operation = self.operation(name)
        if operation is None or operation.node.operation is not OperationType.QUERY:
            return {}
        declared = (it.variable.name.value for it in operation.node.variable_definitions or ())
        values = [(it, variables[it]) for it in declared if it in variables]
        if not all(it is None or isinstance(it, PLAIN) for _, it in values):
            return {}
        key = (name, repr(values))  # which tells 1 from True and from "1"
        if len(key[1]) > MAX_VARIABLES_CHARS:
            return {}
        if key not in self.plans:
            self.plans.clear()
            self.plans[key] = {}
        return self.plans[key]

    def operation(self, name: str | None) -> Operation | None:
        """The operation that is meant: the only one where none is named."""
        if name is None and len(self.operations) == 1:
            return next(iter(self.operations.values()))
        return self.operations.get(name)


class DocumentCache:
    """Sound documents that were asked for lately. What is refused is not kept: it would push out what is sound."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, PreparedDocument] = OrderedDict()
        self._tokens = 0

    def get(self, query: str) -> PreparedDocument | None:
        """The document of this text, if it is kept."""
        found = self._kept.get(query)
        if found is not None:
            self._kept.move_to_end(query)
        return found

    def add(self, query: str, it: PreparedDocument) -> None:
        """Keep one, and let go of those that were not asked for the longest."""
        self._kept[query] = it
        self._tokens += it.tokens
        while len(self._kept) > MAX_CACHED_DOCUMENTS or self._tokens > MAX_CACHED_TOKENS:
            self._tokens -= self._kept.popitem(last=False)[1].tokens


@dataclass(frozen=True, slots=True)
class AdmissionResult:
    """The answer to one request: what it costs, where that is known, what is known of its fields, why it is refused."""

    document: DocumentNode
    cost: int | None
    plans: dict[Any, Any]
    errors: list[GraphQLError]


TOO_MANY_OVERLAPS = limit_error(
    "The fields and fragments of the document overlap too often to be compared: ask for each field once.",
    "TOO_MANY_OVERLAPS",
    COMPARISONS,
)


class Admission:
    """What one schema lets in."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._analysis = Analysis(schema)
        self._documents = DocumentCache()

    def admit(
        self,
        query: str,
        name: str | None,
        variables: Mapping[str, Any] | None,
        *,
        streams: bool = True,
        suggest: bool = True,
    ) -> AdmissionResult:
        """Look at one request; raises GraphQLError for what is no document.

        `streams` says whether a subscription can be answered, `suggest` whether errors may name what
        the schema has.
        """
        prepared = self._documents.get(query) or self._prepare(query, suggest=suggest)
        operation = prepared.operation(name)
        cost = operation.cost(variables or {}) if operation else None
        error = None if prepared.errors else self._refuse(prepared, name, streams=streams)
        error = error or variables_error(variables) or too_expensive(cost)
        errors = prepared.errors or ([error] if error else [])
        return AdmissionResult(
            prepared.document, cost, {} if errors else prepared.plans_of(name, variables or {}), errors
        )

    def _refuse(self, prepared: PreparedDocument, name: str | None, *, streams: bool) -> GraphQLError | None:
        if name is None and len(prepared.operations) > 1:
            return GraphQLError(NAME_AN_OPERATION)
        operation = prepared.operation(name)
        if operation and operation.node.operation is OperationType.SUBSCRIPTION and not streams:
            return GraphQLError(HOW_TO_SUBSCRIBE)
        return None

    def _prepare(self, query: str, *, suggest: bool) -> PreparedDocument:
        document = parse_document(query)
        counts = DocumentCounts(document)
        if error := counts.error():
            return PreparedDocument(document, {}, counts.tokens, [error])
        operations = self._analysis.operations(document)
        exceeded = [error for operation in operations if (error := operation.error)]
        errors = exceeded[:1] or self._validate(document, suggest=suggest)
        named = {
            operation.node.name.value if operation.node.name else None: operation for operation in operations
        }
        prepared = PreparedDocument(document, named, counts.tokens, errors)
        if not errors:
            self._documents.add(query, prepared)
        return prepared

    def _validate(self, document: DocumentNode, *, suggest: bool) -> list[GraphQLError]:
        errors = validate(self._schema, document, RULES, max_errors=MAX_ERRORS, hide_suggestions=not suggest)
        return [TOO_MANY_OVERLAPS if it.message == "Validation aborted." else it for it in errors]


def parse_document(query: str) -> DocumentNode:
    """The document of a text; raises GraphQLError for what is none, or too much of one."""
    if error := text_error(query):
        raise error
    try:
        return parse(query, max_lexical_tokens=MAX_TOKENS, max_comments=MAX_TOKENS)
    except GraphQLError as error:
        raise _parser_error(error) or error from None


ABORTED = re.compile(
    r"Syntax Error: Document (contains more than|is nested too deeply)[^\"]*Parsing aborted\."
)


def _parser_error(error: GraphQLError) -> GraphQLError | None:
    """The refusal that a syntax error stands for where the parser gave up."""
    found = ABORTED.fullmatch(error.message)
    if found is None:
        return None
    if found[1].startswith("is"):
        return too_deep()
    message = f"The document has more than {MAX_TOKENS:,} tokens: ask for less, or in several requests."
    return limit_error(message, "TOO_MANY_TOKENS", MAX_TOKENS)
