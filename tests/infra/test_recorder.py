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
from infra.gateway.log_writer import GroupRecorder
from tests.infra.gateway_rows import NOW, LogLine, Rows, add_project

pytestmark = pytest.mark.anyio


@dataclass
class World:
    rows: Rows
    recorder: GroupRecorder
    line: LogLine
    log: RequestLog
    statements: list[str]

    def another(self, **change: Any) -> RequestLog:
        """A further request."""
        return replace(self.log, id=ids.new(Noun.REQUEST_LOG), **change)

    async def kept(self) -> list[RequestLog]:
        """The rows of the deployment, oldest first."""
        statement = select(request_logs).where(request_logs.c.deployment_id == self.log.deployment_id)
        async with self.rows.engine.connect() as connection:
            rows = await connection.execute(statement.order_by(request_logs.c.id))
            return [RequestLog(**row) for row in rows.mappings()]


@pytest.fixture
async def here(database: AsyncEngine, settings: Settings) -> AsyncIterator[World]:
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
        line = LogLine(settings.database_url, Path(folder))
        await line.mend()
        own = engine(line.url)
        recorder = GroupRecorder(own)
        yield World(rows, recorder, line, log, _statements(own))
        await recorder.aclose()
        await own.dispose()
        await line.cut()


def _statements(own: AsyncEngine) -> list[str]:
    """What is sent to the database, as it is sent."""
    sent: list[str] = []

    @event.listens_for(own.sync_engine, "before_cursor_execute")
    def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
        sent.append(statement.split(maxsplit=1)[0])

    return sent


async def test_a_request_is_kept_when_record_returns(here: World) -> None:
    await here.recorder.record(here.log)

    assert await here.kept() == [here.log]


async def test_what_is_unknown_of_a_request_is_null(here: World) -> None:
    names = ("messages", "output", "error", "prompt_tokens", "completion_tokens", "finish", "api_key_id")
    unknown: dict[str, Any] = dict.fromkeys(names)
    log = replace(here.log, time_to_first_token_ms=None, **unknown)

    await here.recorder.record(log)

    assert await here.kept() == [log]
    async with here.rows.engine.connect() as connection:
        nothing = select(request_logs.c.id).where(request_logs.c.messages.is_(None))
        assert log.id in (await connection.scalars(nothing)).all()


async def test_requests_at_the_same_time_are_kept_by_few_statements(here: World) -> None:
    logs = [here.another(input=str(number)) for number in range(300)]

    await asyncio.gather(*(here.recorder.record(log) for log in logs))

    assert await here.kept() == sorted(logs, key=lambda log: log.id)
    assert here.statements.count("insert") <= 3


async def test_a_request_that_is_recorded_twice_is_one_row(here: World) -> None:
    await asyncio.gather(here.recorder.record(here.log), here.recorder.record(here.log))
    await here.recorder.record(here.log)

    assert await here.kept() == [here.log]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("a\x00b", "a\ufffdb"),
        ("\x00", "\ufffd"),
        (r"\u0000", r"\u0000"),
        ("\\\x00", "\\\ufffd"),
        ("ß\"'\n😀", "ß\"'\n😀"),
    ],
)
async def test_a_text_is_kept_but_for_what_postgresql_cannot_hold(here: World, given: str, kept: str) -> None:
    await here.recorder.record(replace(here.log, input=given, output=given, messages=[given, {given: given}]))

    [log] = await here.kept()
    assert (log.input, log.output, log.messages) == (kept, kept, [kept, {kept: kept}])


async def test_one_request_that_is_refused_does_not_keep_the_others_out(
    here: World, caplog: pytest.LogCaptureFixture
) -> None:
    good = [here.another(), here.another()]
    bad = here.another(status=1 << 40)

    with caplog.at_level(logging.ERROR, logger="infra.gateway.log_writer"):
        await asyncio.gather(*(here.recorder.record(log) for log in (good[0], bad, good[1])))

    assert await here.kept() == good
    assert "1 request logs are lost" in caplog.text


async def test_requests_of_what_was_deleted_meanwhile_do_not_keep_the_others_out(here: World) -> None:
    gone = await here.rows.deployment("gone")
    key_id, _ = await here.rows.key(here.log.deployment_id)
    await here.rows.change(delete(deployments).where(deployments.c.id == gone))
    await here.rows.change(delete(api_keys).where(api_keys.c.id == key_id))
    orphan = here.another(api_key_id=key_id)

    await asyncio.gather(*(here.recorder.record(log) for log in (here.another(deployment_id=gone), orphan)))

    assert await here.kept() == [replace(orphan, api_key_id=None)]


async def test_while_the_database_is_down_requests_wait_and_are_kept_after_it(here: World) -> None:
    await here.line.cut()
    began = monotonic()
    await here.recorder.record(here.log)
    assert 0.9 < monotonic() - began < 3
    later = here.another()
    waiting = asyncio.create_task(here.recorder.record(later))

    await here.line.mend()
    await waiting
    await here.recorder.aclose()

    assert await here.kept() == [here.log, later]


async def test_what_finds_no_room_while_the_database_is_down_is_said(
    here: World, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = GroupRecorder(engine(here.line.url), queue_bytes=1000)
    await here.line.cut()

    with caplog.at_level(logging.ERROR, logger="infra.gateway.log_writer"):
        await asyncio.gather(*(recorder.record(here.another()) for _ in range(5)))
    assert "1 request logs are lost" in caplog.text
    await here.line.mend()
    await recorder.aclose()

    assert len(await here.kept()) == 2
    await recorder._engine.dispose()


async def test_a_key_is_marked_as_used_at_most_once_a_minute(here: World) -> None:
    for _ in range(3):
        await here.recorder.record(here.another())
    await here.recorder.aclose()

    async with here.rows.engine.connect() as connection:
        used = select(api_keys.c.last_used_at).where(api_keys.c.id == here.log.api_key_id)
        assert await connection.scalar(used) is not None
    assert here.statements.count("update") == 1
