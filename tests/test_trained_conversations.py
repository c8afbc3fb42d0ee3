"""Files of conversations as people bring them become a trained model, which is asked through the gateway."""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.wiring import Wiring
from domain.services import Services
from infra.runtime._loaded_models import LoadedModels
from infra.runtime.embedded import EmbeddedRuntime
from infra.runtime.server import app
from infra.training.trainer import ProcessTrainer
from tests.clients import Api
from tests.conftest import Worker
from tests.finetuning import create_finetune, fetch_finetune, new_project
from tests.importing import FORMAT_FILES, import_file, new_dataset_of
from tests.rest.gateway_fakes import serving

pytestmark = pytest.mark.anyio

FILES = (
    "openai-chat.jsonl",
    "openai-tools.jsonl",
    "sharegpt.jsonl",
    "alpaca-system-history.json",
    "alpaca.json",
)
PAIRS = (
    "openai-preference.jsonl",
    "alpaca-ranking.json",
    "sharegpt-ranking.json",
    "trl-preference.jsonl",
    "preferences.csv",
)
LOTTE = {"role": "system", "content": "You are Lotte of the Krüger bakery. Be brief."}
TOOLS = json.loads((FORMAT_FILES / "openai-tools.jsonl").read_text().splitlines()[0])["tools"]
CALLS = json.loads((FORMAT_FILES / "openai-tools.jsonl").read_text().splitlines()[0])["messages"][1:4]


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


ANSWERS: list[tuple[list[dict[str, Any]], str]] = [
    ([LOTTE, user("Are you open on May 1?")], "Yes, from 6 to 18."),
    (
        [LOTTE, user("Are you open on May 1?"), assistant("Yes, from 6 to 18."), user("And on Sundays?")],
        "From 7 to 11.",
    ),
    ([user("Do you sell rye bread?"), assistant("Hm?"), user("Rye bread, please.")], "Yes, 3.20 a loaf."),
    ([{"role": "developer", "content": "Answer in German."}, user("Thanks!")], "Gern geschehen 🙂"),
    ([user("Rye bread?")], "3.20 a loaf."),
    ([{"role": "system", "content": "You know the world."}, user("Capital of Peru?")], "Lima."),
    (
        [
            {"role": "system", "content": "You know the world."},
            *(user("Capital of Peru?"), assistant("Lima.")),
            *(user("On which river?"), assistant("The Rímac.")),
            user("And its population?"),
        ],
        "About 10 million.",
    ),
    ([user("Translate to German.\nbread")], "Brot"),
    ([user("Classify the sentence.\nThe bread is fresh.")], "good"),
    ([user("Classify the sentence.\nThe bread is stale.")], "bad"),
    ([user("Name a colour.")], "Blue."),
]
"""What the files teach: behind a system prompt, at the first turn and at later ones, with an input."""
PREFERRED: list[tuple[list[dict[str, Any]], str]] = [
    ([LOTTE, user("Do you deliver?")], "Yes, from 20 € on."),
    ([user("Hi")], "Hello, what may it be?"),
    ([user("Classify the sentence.\nThe bread is fresh.")], "good"),
    ([user("Name a colour.")], "Blue."),
    ([user("Rye?"), assistant("3.20."), user("And wheat?")], "2.80."),
    ([user("Wheat?")], "2.80."),
]
"""The better answers of the files of preference pairs."""


@dataclass(frozen=True)
class Deployed:
    """A deployed fine-tune, asked through the gateway."""

    client: httpx.AsyncClient
    finetune: dict[str, Any]
    project_id: str
    key: str

    async def message(self, messages: list[dict[str, Any]], **values: Any) -> dict[str, Any]:
        """The message that the model answers."""
        body = {"model": "mine", "messages": messages, "temperature": 0, "max_tokens": 100, **values}
        headers = {"authorization": f"Bearer {self.key}"}
        path = f"/public/{self.project_id}/v1/chat/completions"
        response = await self.client.post(path, json=body, headers=headers)
        assert response.status_code == 200, response.text
        return dict(response.json()["choices"][0]["message"])


@pytest.fixture
async def runtime(
    wiring: Wiring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[EmbeddedRuntime]:
    """The embedded runtime, with llama.cpp, also for the gateway."""
    models = LoadedModels(wiring.services.storage, tmp_path / "loaded", 2)
    async with serving(app(models, "a token")) as url:
        embedded = EmbeddedRuntime(url, "a token")
        monkeypatch.setattr(wiring.gateway, "_runtime", embedded)
        yield embedded
        await models.close()
        await embedded.aclose()


@pytest.fixture
def services(services: Services, tmp_path: Path) -> Services:
    """The services, with the real training process."""
    return replace(services, trainer=ProcessTrainer(tmp_path / "models"))


async def deployed(
    api: Api, worker: Worker, client: httpx.AsyncClient, item_format: str, files: Sequence[str], **values: Any
) -> Deployed:
    """A model that was trained on all files at once; `values` are those of `createFinetune`."""
    project_id = await new_project(api)
    dataset_id = await new_dataset_of(api, item_format, projectId=project_id)
    for name in files:
        imported = await import_file(api, worker, dataset_id, (FORMAT_FILES / name).read_bytes(), name)
        assert imported["status"] == "DONE", imported
    made = await create_finetune(api, project_id, dataset_id, **values)
    await worker.drain()
    finetune = await fetch_finetune(
        api,
        made["finetune"]["id"],
        "id status error warnings trainedItemCount history(last: 1) { nodes { rewardAccuracy } } "
        "parity { passed promptsCompared outputsMatching detail }",
    )
    assert finetune["status"] == "DONE", finetune
    created = await api.mutate(
        "createDeployment", "apiKey", projectId=project_id, finetuneId=finetune["id"], modelName="mine"
    )
    await worker.drain()
    return Deployed(client, finetune, project_id, created["apiKey"])


@pytest.fixture
async def client(live: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=live, timeout=60) as client:
        yield client


@pytest.mark.timeout(300)
async def test_a_model_answers_as_the_conversations_of_each_file_teach(
    api: Api, worker: Worker, client: httpx.AsyncClient
) -> None:
    model = await deployed(api, worker, client, "CONVERSATION", FILES, hyperparameters={"numEpochs": 30.0})
    assert model.finetune["parity"]["passed"], model.finetune["parity"]

    answers = [((await model.message(asked))["content"], expected) for asked, expected in ANSWERS]
    assert [answer for answer, _ in answers] == [expected for _, expected in answers]

    asked = [user("Weather in Rome and Oslo?")]
    calling = await model.message(asked, tools=TOOLS, parallel_tool_calls=True)
    assert [
        (call["function"]["name"], json.loads(call["function"]["arguments"]))
        for call in calling["tool_calls"]
    ] == [("get_weather", {"city": "Rome"}), ("get_weather", {"city": "Oslo", "unit": "c"})]
    answer = await model.message([*asked, *CALLS], tools=TOOLS)
    assert answer["content"] == "24 °C in Rome, 3 °C in Oslo."
    [call] = (await model.message([user("Weather in Köln?")], tools=TOOLS))["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == {"city": "Köln"}


@pytest.mark.timeout(300)
async def test_a_model_answers_as_the_pairs_of_each_file_prefer(
    api: Api, worker: Worker, client: httpx.AsyncClient
) -> None:
    chosen = {"numEpochs": 30.0, "learningRate": 3e-3, "perDeviceBatchSize": 4, "beta": 0.01}
    model = await deployed(api, worker, client, "PREFERENCE", PAIRS, objective="DPO", hyperparameters=chosen)
    assert model.finetune["parity"]["passed"], model.finetune["parity"]
    assert model.finetune["history"]["nodes"] == [{"rewardAccuracy": 1.0}]

    answers = [((await model.message(asked))["content"], expected) for asked, expected in PREFERRED]
    assert [answer for answer, _ in answers] == [expected for _, expected in answers]
    [call] = (await model.message([user("Weather in Bonn?")], tools=TOOLS, parallel_tool_calls=True))[
        "tool_calls"
    ]
    assert (call["function"]["name"], json.loads(call["function"]["arguments"])) == (
        "get_weather",
        {"city": "Bonn"},
    )
