"""`luthier demo --base` against a server whose trainer and model are fakes."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from app.program import PROGRAM
from app.wiring import Wiring
from domain.finetunes import InferenceSample
from tests.clients import Api
from tests.conftest import Worker
from tests.fakes.runtime import FakeRuntime
from tests.fakes.trainer import FakeTrainer
from tests.rest.gateway_fakes import STREAM, FakeModel, serving, stream

pytestmark = pytest.mark.anyio

SAMPLES = (
    InferenceSample(
        prompt="When?", expected="At six.", base_output="I am a model.", tuned_output="At six.\n"
    ),
    InferenceSample(prompt="Where?", expected="Here.", base_output=None, tuned_output="There."),
)


@pytest.fixture
async def model(
    wiring: Wiring, runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[FakeModel]:
    """A model server that answers everything with "Hello."."""
    model = FakeModel()
    model.respond = stream(STREAM)
    async with serving(model) as url:
        runtime.base_url = f"{url}/v1"
        monkeypatch.setattr(wiring.gateway, "_runtime", runtime)
        yield model


async def test_the_answers_of_a_real_model_are_printed_beside_those_of_its_base(
    live: str, api: Api, worker: Worker, trainer: FakeTrainer, model: FakeModel, tmp_path: Path
) -> None:
    trainer.result = {"samples": SAMPLES}
    (tmp_path / "up.json").write_text(f'{{"url": "{live}"}}')
    environment = os.environ | {"LUTHIER_HOME": str(tmp_path), "LUTHIER_TOKEN": api.token, "COLUMNS": "120"}
    working = asyncio.create_task(
        worker.queue.run_worker_async(install_signal_handlers=False, fetch_job_polling_interval=0.1)
    )

    process = await asyncio.create_subprocess_exec(
        *PROGRAM, "demo", "--base", "HuggingFaceTB/SmolLM2-135M-Instruct",
        env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, errors = (text.decode() for text in await process.communicate())
    working.cancel()
    with suppress(asyncio.CancelledError):
        await working

    assert process.returncode == 0, output + errors
    assert "39 of 39 rows are valid" in output
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in output.splitlines() if "│" in line]
    assert rows == [["When?", "I am a model.", "At six.", "At six."], ["Where?", "", "There.", "Here."]]
    assert "answers to the letter: 0 of 2 before, 1 of 2 after" in output
    assert output.count("Hello.") == len(model.requests) == 3
