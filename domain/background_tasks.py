"""Background tasks: work that nobody watches."""

from typing import Protocol


class BackgroundTasks(Protocol):
    """Enqueues work that nobody watches: done after the transaction has committed, and again until it succeeds."""

    async def delete_files(self, prefixes: list[str]) -> None:
        """Delete everything in storage under these prefixes."""
        ...

    async def unload(self, model_ids: list[str]) -> None:
        """Have the model runtime drop these models."""
        ...
