"""A stand-in for a dependency that a test makes fail."""

from typing import Any


class Breaking:
    """A proxy of `real`; while `error` is set, reading any attribute raises it."""

    def __init__(self, real: Any = None, error: Exception | None = None) -> None:
        self.real = real
        self.error = error

    def __getattr__(self, name: str) -> Any:
        if self.error is not None:
            raise self.error
        return getattr(self.real, name)
