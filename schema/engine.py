"""Runs one operation: admits it, counts it against rate limits, executes it within a time limit, masks its errors."""

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
from schema.shared.errors import is_input_error, mask_errors

TIMEOUTS_S = {OperationType.QUERY: 10.0, OperationType.MUTATION: 60.0}
"""Seconds that an operation may run. Mutations may delete millions of rows or call a model; subscriptions have none."""
CANCEL_TIMEOUT_S = 2.0
"""Seconds to wait for the cancellation of an operation's statements before the response is sent."""


class OperationInterrupted(Exception):
    """Something that an operation awaited was cancelled, though the operation itself was not."""


class NoExtensionsRunner(SchemaExtensionsRunner):
    """Runs no extensions: their work, on operations and on results, is done by `Schema`."""

    def operation(self) -> Any:
        """No hook around an operation."""
        return NO_HOOK

    executing = operation

    async def get_extensions_results(self, ctx: ExecutionContext) -> dict[str, Any]:
        """The `extensions` of the response, which `Schema` has set."""
        return ctx.extensions_results

    def on_stream_result(self, result: Any) -> Any:  # noqa: ARG002
        """No hook around a result."""
        return NO_HOOK


NO_HOOK: AbstractAsyncContextManager[None] = nullcontext()


class Schema(strawberry.Schema):
    """A schema whose documents are parsed and validated by `Admission`, which caches them, instead of by strawberry."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._admission = Admission(self._schema)

    def create_extensions_runner(
        self, execution_context: ExecutionContext, extensions: list[SchemaExtension]
    ) -> SchemaExtensionsRunner:
        """A runner without extensions."""
        return NoExtensionsRunner(execution_context, extensions)

    def _create_execution_context(self, *args: Any, **named: Any) -> ExecutionContext:
        """Give each operation a state of its own: those of a WebSocket share one context value."""
        execution = super()._create_execution_context(*args, **named)
        if isinstance(execution.context, GraphQLContext):
            execution.context = replace(execution.context, operation=OperationState())
        return execution

    def process_errors(
        self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None
    ) -> None:
        """Do nothing: strawberry would log every error; `mask_error` logs those that are internal."""

    async def _prepare_operation_async(
        self,
        context: ExecutionContext,
        extensions_runner: SchemaExtensionsRunner,  # noqa: ARG002
    ) -> PreExecutionError | None:
        """Admit and count an operation; the error where it is refused. Strawberry would parse and validate here."""
        if not context.query:
            raise MissingQueryError
        context.pre_execution_errors = self._admit(context, context.query)
        if context.pre_execution_errors:
            return PreExecutionError(data=None, errors=context.pre_execution_errors)
        _check_type(context)
        return await rate_limit_error(context)

    def _admit(self, context: ExecutionContext, query: str) -> list[GraphQLError]:
        """Parse and check the document, and report its cost in the response; the errors where it is refused."""
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
            execution_context.result = ExecutionResult(data=None, errors=[_timeout_error(seconds)])
            return execution_context.result
        except asyncio.CancelledError as error:
            if is_cancelled():
                await _cancel_reads(state)
                raise
            # The reads of DataLoaders are not cancelled, for fields that still run may await them.
            execution_context.result = ExecutionResult(data=None, errors=[_interruption_error(error)])
            return execution_context.result
        finally:
            if state is not None:
                state.clear()

    async def _handle_execution_result(
        self, context: ExecutionContext, result: Any, extensions_runner: SchemaExtensionsRunner, **named: Any
    ) -> ExecutionResult:
        """Mask the errors of a result. Every result passes here, also that of an operation that was not executed."""
        handled = await super()._handle_execution_result(context, result, extensions_runner, **named)
        mask_errors(handled, context.context)
        return handled

    async def _stream(
        self,
        execution_context: ExecutionContext,
        extensions_runner: SchemaExtensionsRunner,
        *args: Any,
        **named: Any,
    ) -> AsyncGenerator[Any, None]:
        """End a subscription at an error of its input, which every further event would repeat."""
        try:
            async with aclosing(
                super()._stream(execution_context, extensions_runner, *args, **named)
            ) as results:
                async for result in results:
                    yield result
                    if any(map(is_input_error, getattr(result, "errors", None) or ())):
                        return
        except (Exception, asyncio.CancelledError) as error:
            if is_cancelled():
                raise
            result = ExecutionResult(data=None, errors=[_interruption_error(error)])
            yield await self._handle_execution_result(execution_context, result, extensions_runner)


def is_cancelled() -> bool:
    """Whether the running task was cancelled. If not, a CancelledError comes from something else that was."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _interruption_error(error: BaseException) -> GraphQLError:
    """The error of an operation that an exception has ended, which becomes an internal one when it is masked."""
    if isinstance(error, Exception):
        return GraphQLError("", original_error=error)
    interruption = OperationInterrupted()
    interruption.__cause__ = error
    return GraphQLError("", original_error=interruption)


def _check_type(context: ExecutionContext) -> None:
    """Raise strawberry's errors where the document has no such operation, or the HTTP method does not allow it."""
    try:
        kind = context.operation_type
    except RuntimeError as error:
        raise CannotGetOperationTypeError(context.operation_name) from error
    if kind not in context.allowed_operations:
        raise InvalidOperationTypeError(kind)


async def _cancel_reads(state: OperationState | None) -> None:
    """Cancel the reads of an operation's DataLoaders, which are tasks of their own."""
    if state is not None and state.tasks:
        for task in state.tasks:
            task.cancel()
        await asyncio.wait(state.tasks, timeout=CANCEL_TIMEOUT_S)


def _timeout_error(seconds: float) -> GraphQLError:
    message = (
        f"The operation took longer than {seconds:g} seconds and was stopped: ask for less, or try again."
    )
    return GraphQLError(message, extensions={"code": "UNAVAILABLE", "reason": "TIMEOUT"})
