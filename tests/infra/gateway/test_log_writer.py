import asyncio
import logging
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from sqlalchemy import delete, event, select, text
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
async def log_writer(database: AsyncEngine, settings: Settings) -> AsyncIterator[LogWriterSetup]:
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


async def test_a_request_is_stored_when_write_returns(log_writer: LogWriterSetup) -> None:
    await log_writer.writer.write(log_writer.log)

    assert await log_writer.stored() == [log_writer.log]


async def test_what_is_unknown_of_a_request_is_null(log_writer: LogWriterSetup) -> None:
    names = ("messages", "output", "error", "prompt_tokens", "completion_tokens", "finish", "api_key_id")
    unknown: dict[str, Any] = dict.fromkeys(names)
    log = replace(log_writer.log, time_to_first_token_ms=None, **unknown)

    await log_writer.writer.write(log)

    assert await log_writer.stored() == [log]
    async with log_writer.rows.engine.connect() as connection:
        nothing = select(request_logs.c.id).where(request_logs.c.messages.is_(None))
        assert log.id in (await connection.scalars(nothing)).all()


async def test_requests_at_the_same_time_are_stored_by_few_statements(log_writer: LogWriterSetup) -> None:
    logs = [log_writer.another(input=str(number)) for number in range(300)]

    await asyncio.gather(*(log_writer.writer.write(log) for log in logs))

    assert await log_writer.stored() == sorted(logs, key=lambda log: log.id)
    assert log_writer.statements.count("insert") <= 3


async def test_a_request_that_is_written_twice_is_one_row(log_writer: LogWriterSetup) -> None:
    await asyncio.gather(log_writer.writer.write(log_writer.log), log_writer.writer.write(log_writer.log))
    await log_writer.writer.write(log_writer.log)

    assert await log_writer.stored() == [log_writer.log]


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
    log_writer: LogWriterSetup, given: str, stored: str
) -> None:
    await log_writer.writer.write(
        replace(log_writer.log, input=given, output=given, messages=[given, {given: given}])
    )

    [log] = await log_writer.stored()
    assert (log.input, log.output, log.messages) == (stored, stored, [stored, {stored: stored}])


async def test_one_request_that_is_rejected_does_not_make_the_others_fail(
    log_writer: LogWriterSetup, caplog: pytest.LogCaptureFixture
) -> None:
    good = [log_writer.another(), log_writer.another()]
    bad = log_writer.another(status=1 << 40)

    with caplog.at_level(logging.ERROR, logger="infra.gateway.log_writer"):
        await asyncio.gather(*(log_writer.writer.write(log) for log in (good[0], bad, good[1])))

    assert await log_writer.stored() == good
    assert "1 request logs are lost" in caplog.text


SLOW = "created by a test that needs slow rows"


@pytest.fixture
async def slow_rows(database: AsyncEngine) -> AsyncIterator[None]:
    """A tenth of a second for each row whose input is `SLOW`."""
    async with database.begin() as connection:
        await connection.execute(
            text(
                "create function sleep_before_insert() returns trigger language plpgsql as "
                "$$ begin perform pg_sleep(0.1); return new; end $$"
            )
        )
        await connection.execute(
            text(
                "create trigger slow before insert on request_logs for each row "
                f"when (new.input = '{SLOW}') execute function sleep_before_insert()"
            )
        )
    yield
    async with database.begin() as connection:
        await connection.execute(text("drop function sleep_before_insert() cascade"))


@pytest.mark.usefixtures("slow_rows")
async def test_requests_that_take_too_long_together_are_stored_in_parts(
    log_writer: LogWriterSetup, settings: Settings
) -> None:
    """Nothing after them would ever be stored, for a failed batch is tried again."""
    impatient = engine(settings.database_url, statement_timeout_ms=500)
    writer = BatchLogWriter(impatient)

    await asyncio.gather(*(writer.write(log_writer.another(input=SLOW)) for _ in range(10)))
    await writer.aclose()
    await impatient.dispose()

    assert len(await log_writer.stored()) == 10


async def test_requests_of_what_was_deleted_meanwhile_do_not_make_the_others_fail(
    log_writer: LogWriterSetup,
) -> None:
    gone = await log_writer.rows.deployment("gone")
    key_id, _ = await log_writer.rows.key(log_writer.log.deployment_id)
    await log_writer.rows.change(delete(deployments).where(deployments.c.id == gone))
    await log_writer.rows.change(delete(api_keys).where(api_keys.c.id == key_id))
    orphan = log_writer.another(api_key_id=key_id)

    await asyncio.gather(
        *(log_writer.writer.write(log) for log in (log_writer.another(deployment_id=gone), orphan))
    )

    assert await log_writer.stored() == [replace(orphan, api_key_id=None)]


async def test_requests_are_queued_while_the_database_is_down_and_stored_after_it(
    log_writer: LogWriterSetup,
) -> None:
    await log_writer.proxy.stop()
    began = monotonic()
    await log_writer.writer.write(log_writer.log)
    assert 0.9 < monotonic() - began < 3
    later = log_writer.another()
    waiting = asyncio.create_task(log_writer.writer.write(later))

    await log_writer.proxy.start()
    await waiting
    await log_writer.writer.aclose()

    assert await log_writer.stored() == [log_writer.log, later]


async def test_requests_beyond_the_queue_while_the_database_is_down_are_logged_as_lost(
    log_writer: LogWriterSetup, caplog: pytest.LogCaptureFixture
) -> None:
    writer = BatchLogWriter(engine(log_writer.proxy.url), queue_bytes=1000)
    await log_writer.proxy.stop()

    with caplog.at_level(logging.ERROR, logger="infra.gateway.log_writer"):
        await asyncio.gather(*(writer.write(log_writer.another()) for _ in range(5)))
    assert "1 request logs are lost" in caplog.text
    await log_writer.proxy.start()
    await writer.aclose()

    assert len(await log_writer.stored()) == 2
    await writer._engine.dispose()


async def test_a_key_is_marked_as_used_at_most_once_a_minute(log_writer: LogWriterSetup) -> None:
    for _ in range(3):
        await log_writer.writer.write(log_writer.another())
    await log_writer.writer.aclose()

    async with log_writer.rows.engine.connect() as connection:
        used = select(api_keys.c.last_used_at).where(api_keys.c.id == log_writer.log.api_key_id)
        assert await connection.scalar(used) is not None
    assert log_writer.statements.count("update") == 1
