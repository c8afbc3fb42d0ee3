"""The one connection of a process that listens for PostgreSQL's notifications."""

import asyncio
import contextlib
import logging
from typing import Self
from weakref import WeakValueDictionary

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

RECONNECT_S = 0.5
POLL_S = 15.0
"""A wait ends after so many seconds, notified or not: a dead connection swallows notifications."""
NEVER = -1
"""The generation of a reader that has read nothing yet."""
KEEPALIVE = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "connect_timeout": 5}

logger = logging.getLogger(__name__)


class Wakeup:
    """Wakes readers when what they read may have changed.

    The generation counts the notifications. A reader that passes the one it saw before its last read misses none.
    """

    def __init__(self) -> None:
        self.generation = 0
        self._next = asyncio.Event()

    def notify(self) -> None:
        """Start the next generation and wake everybody who waits for it."""
        self.generation += 1
        self._next.set()
        self._next = asyncio.Event()

    async def wait(self, seen: int) -> int:
        """Wait for a generation after `seen`, at most `POLL_S` seconds; returns the present one."""
        if self.generation == seen:
            with contextlib.suppress(TimeoutError):  # wait_for would lose a cancellation on Python 3.11
                async with asyncio.timeout(POLL_S):
                    await self._next.wait()
        return self.generation


class Listener:
    """Listens on some channels while it is entered as an asynchronous context manager.

    The rows are the truth: a notification may come early, twice or, while the connection is broken, not at all.
    Therefore everybody is woken after each connect.
    """

    def __init__(self, conninfo: str, *channels: str) -> None:
        self._conninfo = make_conninfo(conninfo, **KEEPALIVE)
        self._channels = channels
        self._wakeups = WeakValueDictionary[tuple[str, str], Wakeup]()
        self._task: asyncio.Task[None] | None = None

    def wakeup(self, channel: str, payload: str = "") -> Wakeup:
        """The wakeup of a channel and payload, one object for all who wait for it."""
        assert channel in self._channels
        wakeup = self._wakeups.get((channel, payload))
        if wakeup is None:
            wakeup = self._wakeups[channel, payload] = Wakeup()
        return wakeup

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
            except (psycopg.Error, OSError) as error:
                logger.warning(
                    "The connection that listens for notifications failed; reconnecting: %s", error
                )
            await asyncio.sleep(RECONNECT_S)

    async def _listen(self) -> None:
        connection = await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True)
        async with connection:
            for channel in self._channels:
                await connection.execute(sql.SQL("listen {}").format(sql.Identifier(channel)))
            self._notify_all()
            async for notification in connection.notifies():
                if wakeup := self._wakeups.get((notification.channel, notification.payload)):
                    wakeup.notify()

    def _notify_all(self) -> None:
        for wakeup in tuple(self._wakeups.values()):
            wakeup.notify()
