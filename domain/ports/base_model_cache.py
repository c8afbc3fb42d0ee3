"""The port to the base models on this machine's disk, which all its workers share."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

from domain.base_model_files import Manifest


class BaseModelCache(Protocol):
    """A folder for each base model, by its id. A folder is there whole or not at all.

    Only a process that holds the lock of `writing` may call what writes; the kernel releases the lock of a process that
    dies, and the next one goes on with what it had fetched.
    """

    def folder(self, id: str) -> Path:
        """Where the model is when it is present."""
        ...

    def find(self, id: str) -> Manifest | None:
        """The manifest of a model whose files are all there with their sizes; None where it is absent."""
        ...

    def ids(self) -> list[str]:
        """The models that are present."""
        ...

    def reading(self, id: str) -> AbstractAsyncContextManager[None]:
        """While the block runs, nobody replaces or deletes the model."""
        ...

    def writing(self, id: str) -> AbstractAsyncContextManager[None]:
        """While the block runs, nobody else reads or writes the model; waits until then."""
        ...

    def partial(self, id: str) -> Path:
        """The folder in which the model is put together, with what an earlier attempt left in it."""
        ...

    def clear_partial(self, id: str) -> None: ...

    def complete(self, id: str, manifest: Manifest) -> None:
        """Put what is in the partial folder in the place of the model."""
        ...

    def delete(self, id: str) -> None: ...

    def abandoned(self) -> list[str]:
        """The models that a process was putting together when it was killed."""
        ...

    def evict(self, max_bytes: int, *, keep: str) -> list[str]:
        """Delete models, least recently read first, until the others have at most `max_bytes`; their ids.

        Those that are being read, and `keep`, stay.
        """
        ...

    def free_bytes(self) -> int:
        """How much the disk has free."""
        ...
