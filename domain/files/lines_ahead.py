"""Lines that can be looked at before they are taken, so that a record that fails can be read again line by line."""

from collections.abc import Iterable
from typing import Self

COMPACTED = 4_096
"""Lines that were taken, after which their memory is released."""


class Lines:
    """Numbered lines, which can be looked at before they are taken."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self._ahead: list[str] = []
        self._taken = 0
        self.number = 0

    def take(self) -> str | None:
        """The next line; None at the end."""
        line = self.ahead(0)
        if line is not None:
            self.skip(1)
        return line

    def ahead(self, index: int) -> str | None:
        """The line after `index` others, which is not taken; None at the end."""
        while len(self._ahead) <= self._taken + index:
            line = next(self._lines, None)
            if line is None:
                return None
            self._ahead.append(line)
        return self._ahead[self._taken + index]

    def skip(self, count: int) -> list[str]:
        """Take lines that were looked at."""
        skipped = self._ahead[self._taken : self._taken + count]
        self._taken += count
        self.number += count
        if self._taken == len(self._ahead) or self._taken >= COMPACTED:
            del self._ahead[: self._taken]
            self._taken = 0
        return skipped


class LinesAhead:
    """What `csv.reader` reads for one record: a line that was taken, and those after it, which are not."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._first = ""
        self.used = 0

    def begin(self, first: str) -> None:
        """Give this line next; `used` then counts those that follow it."""
        self._first, self.used = first, -1

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        self.used += 1
        line = self._lines.ahead(self.used - 1) if self.used else self._first
        if line is None:
            raise StopIteration
        return line
