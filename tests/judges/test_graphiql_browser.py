"""GraphiQL as people use it: in a browser, which reaches no other host."""

from pathlib import Path
from urllib.parse import urlsplit

import orjson
import pytest

from domain.job_events import LogLine
from domain.services import Services
from tests.clients import Api
from tests.jobs import queued_job, record_events, start_job, succeed
from tests.judges.browser import CHROMIUM, DRIVER, NEEDED, browser

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(
        not ((CHROMIUM and DRIVER) or NEEDED), reason="needs Debian's chromium and chromium-driver"
    ),
]

TOKEN = "#token"
RUN = ".graphiql-execute-button"
EDITOR = ".graphiql-query-editor .view-lines"
ANSWER = ".graphiql-response .view-lines"
VARIABLES = ".graphiql-editor-tool textarea"
SUBSCRIPTION = "#graphiql-session-tab-2"


async def test_graphiql_runs_a_query_and_follows_a_job_without_any_other_host(
    api: Api, services: Services, live: str, tmp_path: Path
) -> None:
    job = await queued_job(api, services)
    with browser(tmp_path) as page:
        await page.open(f"{live}/graphiql")
        await page.type(TOKEN, f"Bearer {api.token}")
        await page.shows(EDITOR, "query Overview")
        await page.click(RUN)
        await page.shows(ANSWER, api.user_id, job.id)

        await page.click(SUBSCRIPTION)
        await page.shows(EDITOR, "subscription JobEvents")
        await page.replace(VARIABLES, orjson.dumps({"jobId": job.id}).decode())
        await page.click(RUN)
        await page.shows(ANSWER, "StatusEvent", '"cursor": "1"')
        running = await start_job(services, job.id)
        await page.shows(ANSWER, '"cursor": "2"')
        await record_events(services, running, LogLine("a line of the log"))
        await page.shows(ANSWER, "a line of the log")
        await succeed(services, running)
        await page.shows(ANSWER, "SUCCESS")

        assert {urlsplit(url).netloc for url in await page.requested_urls()} == {urlsplit(live).netloc}
        assert await page.console_errors() == []


async def test_graphiql_stores_the_token_for_its_tab_alone(live: str, tmp_path: Path) -> None:
    with browser(tmp_path) as page:
        await page.open(f"{live}/graphiql")
        await page.type(TOKEN, "a token")
        await page.open(f"{live}/graphiql")
        assert await page.value(TOKEN) == "a token"
        await page.open_tab(f"{live}/graphiql")
        assert await page.value(TOKEN) == ""
