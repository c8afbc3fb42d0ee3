"""Background tasks: work without a job that users can follow."""

from typing import Protocol


class BackgroundTasks(Protocol):
    """Enqueues background tasks: they run after the transaction has committed, and are retried until they succeed."""

    async def delete_files(self, prefixes: list[str]) -> None:
        """Delete every object in storage whose key begins with one of the prefixes."""
        ...

    async def unload(self, model_ids: list[str]) -> None:
        """Unload models from the model runtime."""
        ...
