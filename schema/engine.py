"""How one operation is run: admitted, counted against rate limits, executed within a time limit, its errors masked."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from dataclasses import replace
from typing import Any

import strawberry
from graphql import GraphQLError
from strawberry.exceptions import MissingQueryError
from strawberry.extensions import SchemaExtension
from strawberry.extensions.runner import SchemaExtensionsRunner
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types import ExecutionContext, ExecutionResult
from strawberry.types.execution import PreExecutionError
from strawberry.types.graphql import OperationType

from schema.admission import Admission, rate_limit_error
from schema.execution import OperationState, state_of
from schema.shared.context import GraphQLContext
from schema.shared.errors import clean_result, is_of_input

TIMEOUTS_S = {OperationType.QUERY: 10.0, OperationType.MUTATION: 60.0}
"""Seconds that an operation may run. A mutation may delete millions of rows or ask a model; subscriptions have no limit."""
CANCEL_S = 2.0
"""Seconds within which the statements of an operation are cancelled, before it is answered without waiting for them."""


class OperationInterrupted(Exception):
    """Something that an operation waited for was cancelled, and nobody had asked the operation to end."""


class Runner(SchemaExtensionsRunner):
    """Runs no extensions: what there is to do about an operation and its results, `Schema` does."""

    def operation(self) -> Any:
        """Nothing around an operation."""
        return NOTHING

    executing = operation

    async def get_extensions_results(self, ctx: ExecutionContext) -> dict[str, Any]:
        """What is said beside the data: only we say anything."""
        return ctx.extensions_results

    def on_stream_result(self, result: Any) -> Any:  # noqa: ARG002
        """Nothing around a result."""
        return NOTHING


NOTHING: AbstractAsyncContextManager[None] = nullcontext()


class Schema(strawberry.Schema):
    """The schema. It has strawberry's own parsing and validation replaced by `Admission`, which keeps what it made."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._admission = Admission(self._schema)

    def create_extensions_runner(
        self, execution_context: ExecutionContext, extensions: list[SchemaExtension]
    ) -> SchemaExtensionsRunner:
        """Ours."""
        return Runner(execution_context, extensions)

    def _create_execution_context(self, *args: Any, **named: Any) -> ExecutionContext:
        """Strawberry's own, whose context value has a fresh state: a WebSocket hands the same one to many operations."""
        made = super()._create_execution_context(*args, **named)
        if isinstance(made.context, GraphQLContext):
            made.context = replace(made.context, operation=OperationState())
        return made

    def process_errors(
        self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None
    ) -> None:
        """Nothing here: strawberry's own way logs every refusal as a fault; `operations.clean` logs what is one."""

    async def _prepare_operation_async(
        self,
        context: ExecutionContext,
        extensions_runner: SchemaExtensionsRunner,  # noqa: ARG002
    ) -> PreExecutionError | None:
        """Strawberry's own runs the hooks of extensions for parsing and validation here; ours have none."""
        if not context.query:
            raise MissingQueryError
        context.pre_execution_errors = self._admit(context, context.query)
        if context.pre_execution_errors:
            return PreExecutionError(data=None, errors=context.pre_execution_errors)
        _check_type(context)
        return await rate_limit_error(context)

    def _admit(self, context: ExecutionContext, query: str) -> list[GraphQLError]:
        """Why the operation is refused, if it is; it is parsed, and its cost is said in the answer."""
        request = context.context if isinstance(context.context, GraphQLContext) else None
        try:
            admitted = self._admission.admit(
                query,
                context._provided_operation_name,  # noqa: SLF001 - the public name guesses
                context.variables,
                streams=request is None or request.streams,
                suggest=request is None or request.viewer is not None,
            )
        except GraphQLError as error:
            return [error]
        context.graphql_document = admitted.document
        if request is not None:
            request.operation.plans = admitted.plans
        if admitted.cost is not None:
            context.extensions_results["cost"] = admitted.cost
        return admitted.errors

    async def _execute_operation(self, execution_context: ExecutionContext, *args: Any) -> Any:
        seconds = TIMEOUTS_S[execution_context.operation_type]
        state = state_of(execution_context.context)
        try:
            async with asyncio.timeout(seconds) as limit:
                return await super()._execute_operation(execution_context, *args)
        except TimeoutError:
            if not limit.expired():
                raise
            await _cancel_reads(state)
            execution_context.result = ExecutionResult(data=None, errors=[_too_slow(seconds)])
            return execution_context.result
        except asyncio.CancelledError as error:
            if is_cancelled():
                await _cancel_reads(state)
                raise
            # What DataLoaders still read is left to end, for fields may wait for it.
            execution_context.result = ExecutionResult(data=None, errors=[_interrupted(error)])
            return execution_context.result
        finally:
            if state is not None:
                state.clear()

    async def _handle_execution_result(
        self, context: ExecutionContext, result: Any, extensions_runner: SchemaExtensionsRunner, **named: Any
    ) -> ExecutionResult:
        """Every result comes through here, whether or not there was an execution: its errors are made fit to be seen."""
        made = await super()._handle_execution_result(context, result, extensions_runner, **named)
        clean_result(made, context.context)
        return made

    async def _stream(
        self,
        execution_context: ExecutionContext,
        extensions_runner: SchemaExtensionsRunner,
        *args: Any,
        **named: Any,
    ) -> AsyncGenerator[Any, None]:
        """Strawberry's own, which ends where every further event would be refused for the same input."""
        try:
            async with aclosing(
                super()._stream(execution_context, extensions_runner, *args, **named)
            ) as results:
                async for result in results:
                    yield result
                    if any(map(is_of_input, getattr(result, "errors", None) or ())):
                        return
        except (Exception, asyncio.CancelledError) as error:
            if is_cancelled():
                raise
            result = ExecutionResult(data=None, errors=[_interrupted(error)])
            yield await self._handle_execution_result(execution_context, result, extensions_runner)


def is_cancelled() -> bool:
    """Whether the running task was asked to end. Otherwise a CancelledError comes from elsewhere, and is a fault."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _interrupted(error: BaseException) -> GraphQLError:
    """What is told of a fault that has ended an operation."""
    if isinstance(error, Exception):
        return GraphQLError("", original_error=error)
    fault = OperationInterrupted()
    fault.__cause__ = error
    return GraphQLError("", original_error=fault)


def _check_type(context: ExecutionContext) -> None:
    """Raise strawberry's own errors unless the document has the operation, and the transport allows it."""
    try:
        kind = context.operation_type
    except RuntimeError as error:
        raise CannotGetOperationTypeError(context.operation_name) from error
    if kind not in context.allowed_operations:
        raise InvalidOperationTypeError(kind)


async def _cancel_reads(state: OperationState | None) -> None:
    """Cancel what the DataLoaders of an operation still read: those are tasks of their own."""
    if state is not None and state.tasks:
        for task in state.tasks:
            task.cancel()
        await asyncio.wait(state.tasks, timeout=CANCEL_S)


def _too_slow(seconds: float) -> GraphQLError:
    message = (
        f"The operation took longer than {seconds:g} seconds and was stopped: ask for less, or try again."
    )
    return GraphQLError(message, extensions={"code": "UNAVAILABLE", "reason": "TIMEOUT"})
