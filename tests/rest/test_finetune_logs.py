"""The stream of a training's events, as an EventSource reads it again and again."""

import httpx
import pytest

from domain.services import Services
from tests.clients import Api
from tests.conftest import Worker
from tests.fakes.trainer import FakeTrainer
from tests.finetuning import create_finetune, new_dataset, new_project, trained_finetune

pytestmark = pytest.mark.anyio


@pytest.fixture
async def path(api: Api, services: Services, worker: Worker) -> str:
    """The stream of a training that has ended."""
    made = await trained_finetune(services, api, worker)
    return f"/api/projects/{made['project_id']}/finetunes/{made['id']}/logs/stream"


async def read(api: Api, path: str, last_event_id: str | None = None) -> httpx.Response:
    headers = {} if last_event_id is None else {"last-event-id": last_event_id}
    return await api.rest.get(path, headers=headers)


def ids_of(response: httpx.Response) -> list[str]:
    assert response.status_code == 200, response.text
    lines = response.text.splitlines()
    return [line.removeprefix("id: ") for line in lines if line.startswith("id: ")]


async def test_a_finished_training_is_replayed_from_any_event_on(api: Api, path: str) -> None:
    ids = ids_of(await read(api, path))
    assert len(ids) > 2
    for place, id in enumerate(ids[:-1], 1):
        assert ids_of(await read(api, path, id)) == ids[place:]
    assert ids_of(await read(api, path, "")) == ids_of(await read(api, path, "0")) == ids


async def test_behind_the_last_event_there_is_no_content_which_ends_an_event_source(
    api: Api, path: str
) -> None:
    last = int(ids_of(await read(api, path))[-1])
    for id in (last, last + 1, 10**17):
        response = await read(api, path, str(id))
        assert (response.status_code, response.content) == (204, b"")
        assert response.headers["cache-control"].startswith("no-store")


@pytest.mark.parametrize("id", ["garbage", "-1", "1.5", "9" * 19, "\uff11"])
async def test_a_last_event_id_of_another_stream_is_refused(api: Api, path: str, id: str) -> None:
    response = await api.rest.get(path, headers={b"last-event-id": id.encode()})
    assert (response.status_code, response.json()["error_code"]) == (400, "INVALID_CURSOR")


async def test_anothers_stream_is_not_found_wherever_its_end_is(api: Api, path: str) -> None:
    for id in (None, "1", "1000"):
        assert (await read(api.other, path, id)).status_code == 404


async def test_a_training_that_failed_or_was_cancelled_has_an_end_too(
    api: Api, services: Services, worker: Worker, trainer: FakeTrainer
) -> None:
    project_id = await new_project(api)
    dataset_id = await new_dataset(services, api, project_id)
    trainer.error = "The training failed."
    failed = await create_finetune(api, project_id, dataset_id)
    await worker.drain()
    cancelled = await create_finetune(api, project_id, dataset_id)
    await api.mutate("cancelFinetune", "finetune { status }", id=cancelled["finetune"]["id"])
    for made in (failed, cancelled):
        path = f"/api/projects/{project_id}/finetunes/{made['finetune']['id']}/logs/stream"
        response = await read(api, path)
        assert "event: error" in response.text
        assert (await read(api, path, ids_of(response)[-1])).status_code == 204


async def test_a_training_that_still_runs_is_followed_from_its_last_event_on(
    api: Api, services: Services, live: str
) -> None:
    project_id = await new_project(api)
    made = await create_finetune(api, project_id, await new_dataset(services, api, project_id))
    path = f"/api/projects/{project_id}/finetunes/{made['finetune']['id']}/logs/stream"
    headers = {**api.rest.headers, "last-event-id": "1000"}
    async with (
        httpx.AsyncClient(base_url=live, headers=headers) as rest,
        rest.stream("GET", path) as response,
    ):
        assert response.status_code == 200
