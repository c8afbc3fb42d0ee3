"""Admission: a document is parsed, analysed and validated once; its cost is computed for each request."""

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
from graphql.validation.rules import overlapping_fields_can_be_merged
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

from schema.admission._analysis import Analysis, Operation, depth_error, expense_error
from schema.admission._limits import MAX_TOKENS, DocumentCounts, limit_error, source_error, variables_error

MAX_CACHED_DOCUMENTS = 512
MAX_CACHED_TOKENS = 25_000
"""Tokens of all cached documents, whoever sends them. Each takes some 550 bytes, and time of the garbage collector."""

MAX_VALIDATION_ERRORS = 5
"""Errors of one document. An error may print the node that it is about, so many errors take long."""

MAX_COMPARISONS = 8_000
"""Pairs of fields and fragments that OverlappingFieldsCanBeMerged compares, which takes it some 30 ms."""
overlapping_fields_can_be_merged.MAX_COMPLEXITY_BUDGET = MAX_COMPARISONS

VALIDATION_RULES: tuple[type[ASTValidationRule], ...] = (
    *specified_rules,
    MaybeNullValidationRule,
    OneOfInputValidationRule,
)

OPERATION_NAME_REQUIRED = "Must provide operation name if query contains multiple operations."
STREAM_REQUIRED = (
    "A subscription is streamed: send the header `Accept: text/event-stream`, "
    "or use a WebSocket with the protocol graphql-transport-ws."
)
TOO_MANY_OVERLAPS = limit_error(
    "The fields and fragments of the document overlap too often to be compared: ask for each field once.",
    "TOO_MANY_OVERLAPS",
    MAX_COMPARISONS,
)

SCALAR_CLASSES = (bool, int, float, str)
MAX_CACHED_VARIABLES = 1_024
"""Characters of the variables whose plans are cached with a document."""


@dataclass(frozen=True, slots=True)
class PreparedDocument:
    """A parsed document with its operations by name, and the errors that it has whatever the variables are.

    `plans` are the executor's plans, by operation and variables.
    """

    document: DocumentNode
    operations: Mapping[str | None, Operation]
    tokens: int
    errors: list[GraphQLError]
    plans: dict[Any, dict[Any, Any]] = field(default_factory=dict)

    def plans_for(self, name: str | None, variables: Mapping[str, Any]) -> dict[Any, Any]:
        """The plans of a query with these variables, for the executor to read and extend; the last ones are cached."""
        operation = self.operation(name)
        if operation is None or operation.node.operation is not OperationType.QUERY:
            return {}
        definitions = operation.node.variable_definitions or ()
        declared = (definition.variable.name.value for definition in definitions)
        values = [(variable, variables[variable]) for variable in declared if variable in variables]
        if not all(value is None or isinstance(value, SCALAR_CLASSES) for _, value in values):
            return {}
        key = (name, repr(values))  # `repr` distinguishes 1, True and "1"
        if len(key[1]) > MAX_CACHED_VARIABLES:
            return {}
        if key not in self.plans:
            self.plans.clear()
            self.plans[key] = {}
        return self.plans[key]

    def operation(self, name: str | None) -> Operation | None:
        """The operation with this name; without a name, the only one of the document."""
        if name is None and len(self.operations) == 1:
            return next(iter(self.operations.values()))
        return self.operations.get(name)


class DocumentCache:
    """The valid documents that were used most recently, by their text. Invalid ones are not cached."""

    def __init__(self) -> None:
        self._documents: OrderedDict[str, PreparedDocument] = OrderedDict()
        self._tokens = 0

    def get(self, query: str) -> PreparedDocument | None:
        """The document with this text, if it is cached."""
        document = self._documents.get(query)
        if document is not None:
            self._documents.move_to_end(query)
        return document

    def add(self, query: str, document: PreparedDocument) -> None:
        """Cache a document, and evict the least recently used ones beyond the limits."""
        self._documents[query] = document
        self._tokens += document.tokens
        while len(self._documents) > MAX_CACHED_DOCUMENTS or self._tokens > MAX_CACHED_TOKENS:
            _, evicted = self._documents.popitem(last=False)
            self._tokens -= evicted.tokens


@dataclass(frozen=True, slots=True)
class AdmissionResult:
    """A request's document, its operation's cost (None where it is unknown) and plans, and why it is refused."""

    document: DocumentNode
    cost: int | None
    plans: dict[Any, Any]
    errors: list[GraphQLError]


class Admission:
    """Decides which requests one schema executes."""

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
        """Check one request; raises GraphQLError for a text that cannot be parsed.

        `streams` says whether the transport can carry a subscription, `suggest` whether messages may suggest names of
        the schema.
        """
        prepared = self._documents.get(query) or self._prepare(query, suggest=suggest)
        operation = prepared.operation(name)
        cost = operation.cost(variables or {}) if operation else None
        error = None if prepared.errors else _operation_error(prepared, name, streams=streams)
        error = error or variables_error(variables) or expense_error(cost)
        errors = prepared.errors or ([error] if error else [])
        plans = {} if errors else prepared.plans_for(name, variables or {})
        return AdmissionResult(prepared.document, cost, plans, errors)

    def _prepare(self, query: str, *, suggest: bool) -> PreparedDocument:
        document = parse_document(query)
        counts = DocumentCounts(document)
        if error := counts.error():
            return PreparedDocument(document, {}, counts.tokens, [error])
        operations = self._analysis.operations(document)
        exceeded = [error for operation in operations if (error := operation.error)]
        errors = exceeded[:1] or self._validate(document, suggest=suggest)
        by_name = {
            operation.node.name.value if operation.node.name else None: operation for operation in operations
        }
        prepared = PreparedDocument(document, by_name, counts.tokens, errors)
        if not errors:
            self._documents.add(query, prepared)
        return prepared

    def _validate(self, document: DocumentNode, *, suggest: bool) -> list[GraphQLError]:
        errors = validate(
            self._schema,
            document,
            VALIDATION_RULES,
            max_errors=MAX_VALIDATION_ERRORS,
            hide_suggestions=not suggest,
        )
        return [TOO_MANY_OVERLAPS if error.message == "Validation aborted." else error for error in errors]


def _operation_error(prepared: PreparedDocument, name: str | None, *, streams: bool) -> GraphQLError | None:
    if name is None and len(prepared.operations) > 1:
        return GraphQLError(OPERATION_NAME_REQUIRED)
    operation = prepared.operation(name)
    if operation and operation.node.operation is OperationType.SUBSCRIPTION and not streams:
        return GraphQLError(STREAM_REQUIRED)
    return None


def parse_document(query: str) -> DocumentNode:
    """Parse a document; raises GraphQLError for a syntax error, and where the text exceeds a limit."""
    if error := source_error(query):
        raise error
    try:
        return parse(query, max_lexical_tokens=MAX_TOKENS, max_comments=MAX_TOKENS)
    except GraphQLError as error:
        raise _aborted_parsing_error(error) or error from None


PARSING_ABORTED = re.compile(
    r"Syntax Error: Document (contains more than|is nested too deeply)[^\"]*Parsing aborted\."
)


def _aborted_parsing_error(error: GraphQLError) -> GraphQLError | None:
    """The error of the limit at which the parser gave up; None for a true syntax error."""
    match = PARSING_ABORTED.fullmatch(error.message)
    if match is None:
        return None
    if match[1].startswith("is"):
        return depth_error()
    message = f"The document has more than {MAX_TOKENS:,} tokens: ask for less, or in several requests."
    return limit_error(message, "TOO_MANY_TOKENS", MAX_TOKENS)
