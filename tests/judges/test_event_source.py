"""The browser's EventSource, which reconnects whenever a stream ends, until it is told to stop."""

from pathlib import Path

import pytest

from domain.services import Services
from tests.clients import Api
from tests.conftest import Worker
from tests.finetuning import trained_finetune
from tests.judges.browser import CHROMIUM, DRIVER, NEEDED, browser

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(
        not ((CHROMIUM and DRIVER) or NEEDED), reason="needs Debian's chromium and chromium-driver"
    ),
]

FOLLOW = """const [url, done] = arguments
const source = new EventSource(url)
const seen = []
for (const name of ['log', 'eval', 'progress', 'checkpoint', 'complete'])
  source.addEventListener(name, (event) => seen.push([name, event.lastEventId]))
source.onopen = () => seen.push(['open', ''])
source.onerror = () => { if (source.readyState === EventSource.CLOSED) done(seen) }"""


async def test_an_event_source_reads_a_finished_training_once_and_stops(
    api: Api, services: Services, worker: Worker, live: str, tmp_path: Path
) -> None:
    made = await trained_finetune(services, api, worker)
    path = f"/api/projects/{made['project_id']}/finetunes/{made['id']}/logs/stream"
    document = "query($path: String!) { ticket(path: $path) { ticket } }"
    ticket = (await api.gql(document, path=path))["ticket"]["ticket"]
    with browser(tmp_path) as page:
        await page.open(f"{live}/health")
        seen = await page.run(FOLLOW, f"{path}?ticket={ticket}")
    names = [name for name, _ in seen]
    assert (names[0], names[-1]) == ("open", "complete")
    assert (names.count("open"), names.count("complete")) == (1, 1)
    ids = [int(id) for name, id in seen if name != "open"]
    assert ids == sorted(set(ids))
