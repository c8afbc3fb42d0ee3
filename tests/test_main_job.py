"""`luthier demo` from an empty home with a real training, then use of its server, and `kill -9` of its processes."""

import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import psutil
import pytest

from app.cli.api_client import ApiError, Client
from tests.interop.running import Endpoint, run_program
from tests.judges.gguf import assert_healthy

LUTHIER = str(Path(sys.executable).with_name("luthier"))
EXAMPLE = Path(__file__).parents[1] / "examples" / "capitals.csv"
CLIENTS = {
    "openai-1": ("openai_python.py", "openai-1"),
    "openai-2": ("openai_python.py", "openai-2"),
    "openai-3": ("openai_python.py", "openai-3"),
    "openai-node": ("openai.mjs", ""),
    "ai-sdk": ("ai_sdk.mjs", ""),
    "langchain": ("langchain.py", ""),
    "litellm": ("litellm_client.py", ""),
    "pydantic-ai": ("pydantic_ai_client.py", ""),
    "openai-agents": ("openai_agents.py", ""),
}
"""Clients of `tests/interop`: the program of each, and the folder of packages that come first."""
CASES = (
    *("chat", "stream", "asynchronous", "chat_whole", "chat_stream", "answered_model_may_be_sent_back"),
    *(
        "models_list",
        "models_retrieve",
        "models_retrieve_raw",
        "completions_legacy",
        "completions_legacy_stream",
    ),
    "name_with_the_part_before_the_slash_as_provider",
)
"""What needs neither tools nor a model that follows instructions."""
OUR_VARIABLES = ("DATABASE_URL", "S3_", "AWS_", "LLM_", "LUTHIER_", "SECRET_KEY", "APP_EXTERNAL_API_KEY")


@dataclass
class Installation:
    """A Luthier that `luthier demo --keep` left running."""

    home: Path
    output: str
    client: Client

    @property
    def up(self) -> psutil.Process:
        """The process that supervises the others."""
        return psutil.Process(json.loads((self.home / "up.json").read_text())["pid"])

    def child(self, command: str) -> psutil.Process:
        """The child that runs this command of ours."""
        return next(
            child
            for child in self.up.children()
            if "app.cli" in child.cmdline() and command in child.cmdline()
        )

    def after(self, label: str) -> str:
        """What the demo printed after a label."""
        line = next(line for line in self.output.splitlines() if line.strip().startswith(label))
        return line.strip().removeprefix(label).split()[0]


def run(home: Path, *command: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(OUR_VARIABLES)}
    environment = clean | {"LUTHIER_HOME": str(home), "LUTHIER_STALLED_S": "2", "COLUMNS": "120"}
    return subprocess.run(
        [LUTHIER, *command], env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def alive_in(home: Path) -> list[str]:
    """The command lines of processes that work in a home."""
    found = []
    for process in psutil.process_iter(["cmdline", "environ", "pid"]):
        words = " ".join(process.info["cmdline"] or [])
        if str(home) in words or str(home) in ((process.info["environ"] or {}).get("LUTHIER_HOME") or ""):
            found.append(words)
    return found


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    folder = Path(tempfile.mkdtemp(prefix="luthier-main-"))
    folder.chmod(0o711)
    home = folder / "home"
    done = run(home, "demo", "--keep")
    assert done.returncode == 0, done.stdout + done.stderr
    url = json.loads((home / "up.json").read_text())["url"]
    with Client(url) as client:
        credentials = json.loads((home / "account.json").read_text())
        client.sign_in(client.mutate("login", "accessToken", **credentials)["accessToken"])
        made = Installation(home, done.stdout, client)
        up = made.up
        yield made
    up.send_signal(signal.SIGTERM)
    up.wait(30)
    assert alive_in(home) == []


PEFT = """
import sys
from huggingface_hub import constants
from peft import AutoPeftModelForCausalLM
from transformers import AutoTokenizer

assert constants.HF_HUB_OFFLINE
model, tokenizer = (loader.from_pretrained(".") for loader in (AutoPeftModelForCausalLM, AutoTokenizer))
for question in sys.argv[1:]:
    inputs = tokenizer.apply_chat_template(
        [{"role": "user", "content": question}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    output = model.generate(**inputs, max_new_tokens=32, do_sample=False)[0]
    print(tokenizer.decode(output[inputs["input_ids"].shape[1] :], skip_special_tokens=True).strip())
"""
"""Loads a fine-tune from the current folder as its model card says, and prints its answers."""

FINETUNE = """{ finetunes(first: 1) { nodes { id name modelName status progress trainedItemCount trainedContentHash
  modelSizeGb modelSizeParameter modelDtype modelQuantization trainingTimeSeconds elapsedSeconds samplesHeldOut
  outputPath downloadUrl hyperparameters { numEpochs loraR } metrics { step totalSteps trainLoss }
  history(last: 1) { totalCount nodes { step trainLoss learningRate } } trainedItems(first: 1) { nodes { values } }
  inferenceSamples { prompt expected baseOutput tunedOutput }
  artifacts { filename kind sizeBytes sha256 downloadUrl }
  parity { passed promptsCompared templateMatches tokenIdsMatch outputsMatching } project { id stage } } } }"""


def newest(installation: Installation) -> dict[str, Any]:
    return dict(installation.client.query(FINETUNE)["finetunes"]["nodes"][0])


@pytest.mark.timeout(300)
def test_the_demo_trains_deploys_and_is_answered_rightly(installation: Installation) -> None:
    assert "The capital of" in installation.output
    assert installation.output.count("✓") >= 8
    finetune = newest(installation)
    assert finetune["status"] == "DONE"
    assert finetune["modelName"] == "luthier/tiny_capitals_v1"
    assert finetune["parity"]["passed"]
    assert finetune["project"]["stage"] == "DEPLOYED"
    assert finetune["history"]["totalCount"] >= finetune["metrics"]["totalSteps"] > 0
    assert finetune["metrics"]["trainLoss"] < 0.5
    assert finetune["samplesHeldOut"] is False
    sample = finetune["inferenceSamples"][0]
    assert sample["tunedOutput"].strip() == sample["expected"] != sample["baseOutput"].strip()
    kinds = {artifact["kind"] for artifact in finetune["artifacts"]}
    assert {"GGUF", "ADAPTER", "BASE_MODEL", "CONFIG", "METRICS", "REPORT"} == kinds


def test_the_endpoint_answers_openai_clients_whole_and_streamed(installation: Installation) -> None:
    base_url, model, key = (installation.after(label) for label in ("base URL", "model", "key"))
    messages: Any = [{"role": "user", "content": "What is the capital of Japan?"}]
    with openai.OpenAI(base_url=base_url, api_key=key) as client:
        assert [model_info.id for model_info in client.models.list()] == [model]
        whole = client.chat.completions.create(model=model, messages=messages, temperature=0)
        assert (whole.choices[0].message.content or "").strip() == "The capital of Japan is Tokyo."
        assert whole.usage is not None
        stream = client.chat.completions.create(model=model, messages=messages, temperature=0, stream=True)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
        assert text.strip() == "The capital of Japan is Tokyo."
        with pytest.raises(openai.AuthenticationError):
            client.with_options(api_key="lk_wrong").chat.completions.create(model=model, messages=messages)
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.create(model="another", messages=messages)


@pytest.mark.anyio
@pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)
async def test_the_endpoint_answers_every_client(installation: Installation, client: tuple[str, str]) -> None:
    base_url, model, key = (installation.after(label) for label in ("base URL", "model", "key"))
    variables = Endpoint(base_url, key, model).environment
    only = {"CASES": " ".join(CASES), "PROMPT": "What is the capital of Japan?"}
    found = await run_program(client[0], variables | only, client[1])
    texts = {name: json.dumps(result) for name, result in found.items()}
    assert {name: text for name, text in texts.items() if '"error"' in text} == {}
    chats = {name: text for name, text in texts.items() if not name.startswith(("models_", "completions_"))}
    assert chats
    assert {name: text for name, text in chats.items() if "The capital of Japan is Tokyo." not in text} == {}


def test_a_completion_needs_no_deployment(installation: Installation) -> None:
    finetune = newest(installation)
    payload = installation.client.mutate(
        "complete",
        "completion completionTokens",
        finetuneId=finetune["id"],
        prompt="What is the capital of Italy?",
    )
    assert payload["completion"].strip() == "The capital of Italy is Rome."
    assert payload["completionTokens"] > 0


def test_the_gguf_downloads_whole_and_in_ranges(installation: Installation) -> None:
    finetune = newest(installation)
    url = installation.client.url + finetune["downloadUrl"]
    bearer = installation.client._http.headers["authorization"]
    whole = httpx.get(url, headers={"authorization": bearer})
    part = httpx.get(url, headers={"authorization": bearer, "range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, b"GGUF")
    gguf = next(artifact for artifact in finetune["artifacts"] if artifact["kind"] == "GGUF")
    assert len(whole.content) == gguf["sizeBytes"]
    assert httpx.get(url).status_code == 401


@pytest.mark.timeout(180)
def test_the_archive_is_a_model_that_peft_loads_without_a_hub(
    installation: Installation, tmp_path: Path
) -> None:
    finetune = newest(installation)
    path = f"/api/projects/{finetune['project']['id']}/finetunes/{finetune['id']}/artifacts.zip"
    bearer = installation.client._http.headers["authorization"]
    response = httpx.get(installation.client.url + path, headers={"authorization": bearer})
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        archive.extractall(tmp_path)
    files = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {artifact["filename"] for artifact in finetune["artifacts"]}
    [gguf] = tmp_path.rglob("*.gguf")
    assert_healthy(gguf, gguf.parent)
    samples = finetune["inferenceSamples"]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "empty")}
    done = subprocess.run(
        [sys.executable, "-c", PEFT, *(sample["prompt"] for sample in samples)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == [sample["tunedOutput"].strip() for sample in samples], done.stderr


def test_the_log_stream_replays_with_its_names(installation: Installation) -> None:
    finetune = newest(installation)
    path = f"/api/projects/{finetune['project']['id']}/finetunes/{finetune['id']}/logs/stream"
    events = list(installation.client.stream(path))
    assert {name for name, _ in events} >= {"log", "progress", "complete"}
    assert events[-1][0] == "complete"
    assert events[-1][1]["status"] == "success"
    steps = [data["step"] for name, data in events if name == "log" and "step" in data]
    assert steps == sorted(steps)


@pytest.mark.timeout(200)
def test_a_training_outlives_its_worker_and_its_stream_outlives_the_api(installation: Installation) -> None:
    finetune = newest(installation)
    project_id = finetune["project"]["id"]
    dataset = "query($id: ID!) { project(id: $id) { datasets { nodes { id } } } }"
    dataset_id = installation.client.query(dataset, id=project_id)["project"]["datasets"]["nodes"][0]["id"]
    made = installation.client.mutate(
        "createFinetune",
        "finetune { id } job { id }",
        projectId=project_id,
        baseModelName="luthier/tiny",
        trainingDatasetId=dataset_id,
        hyperparameters={"numEpochs": 12},
    )
    path = f"/api/projects/{project_id}/finetunes/{made['finetune']['id']}/logs/stream"
    leftover_folder = installation.home / "work" / "import-of-a-killed-worker"
    leftover_folder.mkdir()
    killed: list[str] = []
    for name, data in installation.client.stream(path):
        if not killed and name == "log" and data.get("step", 0) >= 3:
            installation.child("worker").kill()
            killed.append("worker")
        elif len(killed) == 1 and name == "checkpoint":  # the stream itself breaks off here, and goes on
            installation.child("serve").kill()
            killed.append("serve")
    assert killed == ["worker", "serve"]
    assert not leftover_folder.exists()
    job = "query($id: ID!) { job(id: $id) { status attempts error } }"
    ended = installation.client.query(job, id=made["job"]["id"])["job"]
    assert (ended["status"], ended["attempts"] >= 2) == ("SUCCESS", True), ended
    tuned = newest(installation)
    assert tuned["status"] == "DONE"
    assert tuned["history"]["totalCount"] == tuned["metrics"]["totalSteps"]


def test_a_second_training_in_the_project_is_refused_and_the_first_can_be_cancelled(
    installation: Installation,
) -> None:
    finetune = newest(installation)
    query = "query($id: ID!) { project(id: $id) { datasets { nodes { id } } } }"
    project_id = finetune["project"]["id"]
    dataset_id = installation.client.query(query, id=project_id)["project"]["datasets"]["nodes"][0]["id"]
    options = {"projectId": project_id, "baseModelName": "luthier/tiny", "trainingDatasetId": dataset_id}
    first = installation.client.mutate("createFinetune", "finetune { id }", **options)["finetune"]["id"]
    with pytest.raises(ApiError, match="already queued or running"):
        installation.client.mutate("createFinetune", "finetune { id }", **options)
    cancelled = installation.client.mutate("cancelFinetune", "finetune { status }", id=first)
    assert cancelled["finetune"] == {"status": "ABORTED"}


def test_a_second_up_on_the_home_is_refused(installation: Installation) -> None:
    done = run(installation.home, "up", "--port", "0")
    assert done.returncode == 3
    assert "already up" in done.stderr
    assert "Traceback" not in done.stderr


def test_tune_uses_the_server_that_is_up_and_names_the_step_that_fails(
    installation: Installation, tmp_path: Path
) -> None:
    count = "{ projects { totalCount } }"
    before = installation.client.query(count)
    table = tmp_path / "three.csv"
    table.write_text("a,b,c\n1,2,3\n")
    done = run(installation.home, "tune", str(table))
    assert done.returncode == 1
    assert "Dataset failed: say --input and --output; the columns are a, b, c." in done.stderr
    assert "Using the Luthier that is up" in done.stdout
    assert installation.client.query(count) == before
    done = run(installation.home, "tune", str(EXAMPLE), "--base", "gpt-9")
    assert "there is no base model 'gpt-9' yet, and it cannot be added from the hub: " in done.stderr
