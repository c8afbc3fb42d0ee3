"""The listening connection: whom a notification wakes, and what an outage costs."""

import asyncio
import gc
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.settings import Settings
from infra.db.engine import conninfo
from infra.events import listener as module
from infra.events.listener import NEVER, Listener, Wakeup
from tests.infra.gateway.rows import DatabaseProxy

pytestmark = pytest.mark.anyio


@pytest.fixture
async def proxy(settings: Settings) -> AsyncIterator[DatabaseProxy]:
    """A way to the database that a test may close."""
    with tempfile.TemporaryDirectory() as folder:
        made = DatabaseProxy(settings.database_url, Path(folder))
        await made.start()
        yield made
        await made.stop()


@pytest.fixture
def listener(proxy: DatabaseProxy) -> Listener:
    return Listener(conninfo(proxy.url), "apples", "pears")


async def notify(database: AsyncEngine, channel: str, payload: str) -> None:
    async with database.begin() as connection:
        await connection.execute(
            text("select pg_notify(:channel, :payload)"), {"channel": channel, "payload": payload}
        )


async def after(wakeup: Wakeup, generation: int) -> int:
    """The next generation; fails where none comes."""
    async with asyncio.timeout(10):
        return await wakeup.wait(generation)


async def test_a_notification_wakes_those_who_wait_for_its_channel_and_payload(
    database: AsyncEngine, listener: Listener
) -> None:
    apple, pear, other = (
        listener.wakeup("apples", "1"),
        listener.wakeup("pears", "1"),
        listener.wakeup("apples", "2"),
    )
    async with listener:
        await asyncio.gather(*(after(wakeup, 0) for wakeup in (apple, pear, other)))  # it has connected
        await notify(database, "apples", "1")
        assert await after(apple, 1) == 2
        await notify(database, "pears", "1")
        assert await after(pear, 1) == 2
        assert (apple.generation, other.generation) == (2, 1)


async def test_all_who_wait_for_the_same_share_a_wakeup_which_goes_with_the_last(listener: Listener) -> None:
    wakeup = listener.wakeup("apples", "1")
    wakeup.notify()
    assert listener.wakeup("apples", "1") is wakeup
    del wakeup
    gc.collect()
    assert listener.wakeup("apples", "1").generation == 0


async def test_a_notification_before_the_wait_is_not_missed() -> None:
    wakeup = Wakeup()
    assert await after(wakeup, NEVER) == 0
    wakeup.notify()
    assert await after(wakeup, 0) == 1


async def test_a_wait_ends_without_a_notification(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL_S", 0.01)
    assert await after(Wakeup(), 0) == 0


async def test_everybody_is_woken_after_an_outage_in_which_a_notification_was_lost(
    database: AsyncEngine, listener: Listener, proxy: DatabaseProxy, caplog: pytest.LogCaptureFixture
) -> None:
    wakeup = listener.wakeup("apples")
    async with listener:
        assert await after(wakeup, 0) == 1
        await proxy.stop()
        await notify(database, "apples", "")
        await proxy.start()
        assert await after(wakeup, 1) == 2
    assert caplog.messages[0].startswith(
        "The connection that listens for notifications failed; reconnecting: "
    )


@pytest.mark.parametrize("error", [psycopg.OperationalError, psycopg.ProgrammingError, OSError])
async def test_a_listener_reconnects_whatever_failed(
    listener: Listener,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: type[Exception],
) -> None:
    connect = psycopg.AsyncConnection.connect

    async def fail_once(*_: object, **__: object) -> None:
        monkeypatch.setattr(psycopg.AsyncConnection, "connect", connect)
        raise error("it broke")

    monkeypatch.setattr(psycopg.AsyncConnection, "connect", fail_once)
    monkeypatch.setattr(module, "RECONNECT_S", 0)
    wakeup = listener.wakeup("apples")
    async with listener:
        assert await after(wakeup, 0) == 1
    assert caplog.messages == ["The connection that listens for notifications failed; reconnecting: it broke"]
