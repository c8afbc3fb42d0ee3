"""A database that is away now and then."""

import asyncio
from contextlib import AbstractAsyncContextManager

from domain.errors import Unavailable
from domain.store import ReadStore, Store, Transactions


class Outages:
    """Transactions of which the ones that `away` counts, from 1 on, find no database."""

    def __init__(self, real: Transactions, *away: int) -> None:
        self._real = real
        self._away = away
        self._count = 0
        self.met = asyncio.Event()

    def begin(self) -> AbstractAsyncContextManager[Store]:
        """As the real ones, or `Unavailable`."""
        self._next()
        return self._real.begin()

    def read(self) -> AbstractAsyncContextManager[ReadStore]:
        """As the real ones, or `Unavailable`."""
        self._next()
        return self._real.read()

    def _next(self) -> None:
        self._count += 1
        if self._count in self._away:
            self.met.set()
            raise Unavailable("The database does not answer.", reason="DATABASE_UNAVAILABLE")
