"""What tests put in the place of a part that is to fail."""

from typing import Any


class Breaking:
    """A part that works, until it is given an error: then whatever is asked of it raises that."""

    def __init__(self, real: Any = None, error: Exception | None = None) -> None:
        self.real = real
        self.error = error

    def __getattr__(self, name: str) -> Any:
        if self.error is not None:
            raise self.error
        return getattr(self.real, name)
