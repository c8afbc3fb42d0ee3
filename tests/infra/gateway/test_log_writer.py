import asyncio
import logging
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from sqlalchemy import delete, event, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.settings import Settings
from domain import ids
from domain.ids import Noun
from domain.request_logs import RequestLog
from infra.db.engine import engine
from infra.db.tables import api_keys, deployments, request_logs
from infra.gateway.log_writer import BatchLogWriter
from tests.infra.gateway.rows import NOW, DatabaseProxy, GatewayRows, add_project

pytestmark = pytest.mark.anyio


@dataclass
class LogWriterSetup:
    rows: GatewayRows
    writer: BatchLogWriter
    proxy: DatabaseProxy
    log: RequestLog
    statements: list[str]

    def another(self, **change: Any) -> RequestLog:
        """A further request."""
        return replace(self.log, id=ids.new(Noun.REQUEST_LOG), **change)

    async def stored(self) -> list[RequestLog]:
        """The rows of the deployment, oldest first."""
        statement = select(request_logs).where(request_logs.c.deployment_id == self.log.deployment_id)
        async with self.rows.engine.connect() as connection:
            rows = await connection.execute(statement.order_by(request_logs.c.id))
            return [RequestLog(**row) for row in rows.mappings()]


@pytest.fixture
async def here(database: AsyncEngine, settings: Settings) -> AsyncIterator[LogWriterSetup]:
    rows = await add_project(database)
    deployment_id = await rows.deployment()
    key_id, _ = await rows.key(deployment_id)
    log = RequestLog(
        id=ids.new(Noun.REQUEST_LOG),
        deployment_id=deployment_id,
        api_key_id=key_id,
        date=NOW,
        endpoint="chat/completions",
        input="Hello?",
        messages=[{"role": "user", "content": "Hello?"}],
        output="Hello.",
        status=200,
        prompt_tokens=5,
        completion_tokens=2,
        latency_ms=12.5,
        time_to_first_token_ms=3.25,
        streamed=True,
        finish="stop",
    )
    with tempfile.TemporaryDirectory() as folder:
        proxy = DatabaseProxy(settings.database_url, Path(folder))
        await proxy.start()
        own = engine(proxy.url)
        writer = BatchLogWriter(own)
        yield LogWriterSetup(rows, writer, proxy, log, _statements(own))
        await writer.aclose()
        await own.dispose()
        await proxy.stop()


def _statements(own: AsyncEngine) -> list[str]:
    """What is sent to the database, as it is sent."""
    sent: list[str] = []

    @event.listens_for(own.sync_engine, "before_cursor_execute")
    def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
        sent.append(statement.split(maxsplit=1)[0])

    return sent


async def test_a_request_is_stored_when_write_returns(here: LogWriterSetup) -> None:
    await here.writer.write(here.log)

    assert await here.stored() == [here.log]


async def test_what_is_unknown_of_a_request_is_null(here: LogWriterSetup) -> None:
    names = ("messages", "output", "error", "prompt_tokens", "completion_tokens", "finish", "api_key_id")
    unknown: dict[str, Any] = dict.fromkeys(names)
    log = replace(here.log, time_to_first_token_ms=None, **unknown)

    await here.writer.write(log)

    assert await here.stored() == [log]
    async with here.rows.engine.connect() as connection:
        nothing = select(request_logs.c.id).where(request_logs.c.messages.is_(None))
        assert log.id in (await connection.scalars(nothing)).all()


async def test_requests_at_the_same_time_are_stored_by_few_statements(here: LogWriterSetup) -> None:
    logs = [here.another(input=str(number)) for number in range(300)]

    await asyncio.gather(*(here.writer.write(log) for log in logs))

    assert await here.stored() == sorted(logs, key=lambda log: log.id)
    assert here.statements.count("insert") <= 3


async def test_a_request_that_is_written_twice_is_one_row(here: LogWriterSetup) -> None:
    await asyncio.gather(here.writer.write(here.log), here.writer.write(here.log))
    await here.writer.write(here.log)

    assert await here.stored() == [here.log]


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("a\x00b", "a\ufffdb"),
        ("\x00", "\ufffd"),
        (r"\u0000", r"\u0000"),
        ("\\\x00", "\\\ufffd"),
        ("ß\"'\n😀", "ß\"'\n😀"),
    ],
)
async def test_a_text_is_stored_but_for_what_postgresql_cannot_store(
    here: LogWriterSetup, given: str, stored: str
) -> None:
    await here.writer.write(replace(here.log, input=given, output=given, messages=[given, {given: given}]))

    [log] = await here.stored()
    assert (log.input, log.output, log.messages) == (stored, stored, [stored, {stored: stored}])


async def test_one_request_that_is_rejected_does_not_make_the_others_fail(
    here: LogWriterSetup, caplog: pytest.LogCaptureFixture
) -> None:
    good = [here.another(), here.another()]
    bad = here.another(status=1 << 40)

    with caplog.at_level(logging.ERROR, logger="infra.gateway.log_writer"):
        await asyncio.gather(*(here.writer.write(log) for log in (good[0], bad, good[1])))

    assert await here.stored() == good
    assert "1 request logs are lost" in caplog.text


async def test_requests_of_what_was_deleted_meanwhile_do_not_make_the_others_fail(
    here: LogWriterSetup,
) -> None:
    gone = await here.rows.deployment("gone")
    key_id, _ = await here.rows.key(here.log.deployment_id)
    await here.rows.change(delete(deployments).where(deployments.c.id == gone))
    await here.rows.change(delete(api_keys).where(api_keys.c.id == key_id))
    orphan = here.another(api_key_id=key_id)

    await asyncio.gather(*(here.writer.write(log) for log in (here.another(deployment_id=gone), orphan)))

    assert await here.stored() == [replace(orphan, api_key_id=None)]


async def test_requests_are_queued_while_the_database_is_down_and_stored_after_it(
    here: LogWriterSetup,
) -> None:
    await here.proxy.stop()
    began = monotonic()
    await here.writer.write(here.log)
    assert 0.9 < monotonic() - began < 3
    later = here.another()
    waiting = asyncio.create_task(here.writer.write(later))

    await here.proxy.start()
    await waiting
    await here.writer.aclose()

    assert await here.stored() == [here.log, later]


async def test_requests_beyond_the_queue_while_the_database_is_down_are_logged_as_lost(
    here: LogWriterSetup, caplog: pytest.LogCaptureFixture
) -> None:
    writer = BatchLogWriter(engine(here.proxy.url), queue_bytes=1000)
    await here.proxy.stop()

    with caplog.at_level(logging.ERROR, logger="infra.gateway.log_writer"):
        await asyncio.gather(*(writer.write(here.another()) for _ in range(5)))
    assert "1 request logs are lost" in caplog.text
    await here.proxy.start()
    await writer.aclose()

    assert len(await here.stored()) == 2
    await writer._engine.dispose()


async def test_a_key_is_marked_as_used_at_most_once_a_minute(here: LogWriterSetup) -> None:
    for _ in range(3):
        await here.writer.write(here.another())
    await here.writer.aclose()

    async with here.rows.engine.connect() as connection:
        used = select(api_keys.c.last_used_at).where(api_keys.c.id == here.log.api_key_id)
        assert await connection.scalar(used) is not None
    assert here.statements.count("update") == 1
