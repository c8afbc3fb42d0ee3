"""A database that is unavailable for chosen transactions."""

import asyncio
from contextlib import AbstractAsyncContextManager

from domain.errors import Unavailable
from domain.store import ReadStore, Store, Transactions


class Outages:
    """Transactions that raise `Unavailable` when their number, counted from 1, is in `failing`."""

    def __init__(self, real: Transactions, *failing: int) -> None:
        self._real = real
        self._failing = failing
        self._count = 0
        self.occurred = asyncio.Event()

    def begin(self) -> AbstractAsyncContextManager[Store]:
        """Open a real transaction, or raise `Unavailable`."""
        self._next()
        return self._real.begin()

    def read(self) -> AbstractAsyncContextManager[ReadStore]:
        """Open a real transaction, or raise `Unavailable`."""
        self._next()
        return self._real.read()

    def _next(self) -> None:
        self._count += 1
        if self._count in self._failing:
            self.occurred.set()
            raise Unavailable("The database does not answer.", reason="DATABASE_UNAVAILABLE")
