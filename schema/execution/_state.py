"""The state of one operation: its DataLoaders and plans."""

from asyncio import Future
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class OperationState:
    """The engine's own state of one operation.

    `loaders` are its DataLoaders, `tasks` their running reads; both end with the operation. `plans` are those of its
    document, and are cached with it.
    """

    loaders: dict[Any, Any] = field(default_factory=dict)
    tasks: set[Future[Any]] = field(default_factory=set)
    plans: dict[Any, Any] = field(default_factory=dict)

    def clear(self) -> None:
        """Drop what was loaded.

        Loaders and their operation refer to each other: all of it would wait for the garbage collector, which would take
        as long as several operations.
        """
        self.loaders.clear()
        self.tasks.clear()


class HasOperationState:
    """A context value that carries the state of its operation."""

    __slots__ = ()
    operation: OperationState


def state_of(context: object) -> OperationState | None:
    """The state of the operation that has this context value; None where it carries none."""
    return context.operation if isinstance(context, HasOperationState) else None
