import hashlib
import io
import json
import subprocess
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from domain.finetunes import ArtifactKind
from infra.training import parity
from infra.training.base_model import Base, find
from infra.training.reporter import Reporter
from infra.training.subprocesses import child
from tests.infra.training.conftest import Trained, capitals

ODD = [
    "  two  spaces ",
    "\n\n\ttab\r\n",
    "Österreich, Łódź, 東京 🎉👩‍👩‍👧",
    "<0x41> {{ x }} <|im_",
    "9 0.5 ''``\\",
    "a",
]


@pytest.fixture(scope="module")
def base(models: Path) -> Base:
    return find("luthier/tiny", models)


@pytest.fixture(scope="module")
def gguf(trained: Trained) -> Path:
    return trained.run.folder / "artifacts" / "Capitals__by_heart.gguf"


def test_a_table_is_learned_by_heart_and_its_export_answers_alike(trained: Trained) -> None:
    result = trained.result
    assert result.parity is not None
    assert (result.parity.passed, result.parity.prompts_compared, result.parity.detail) == (True, 16, None)
    assert [each.tuned_output for each in result.samples] == [each.expected for each in result.samples]
    assert [each.base_output for each in result.samples] != [each.expected for each in result.samples]
    assert len(result.samples) == 5
    assert result.warnings == ()
    assert not result.samples_held_out


def test_the_gguf_answers_every_question_rightly(gguf: Path) -> None:
    conversations = [[{"role": "user", "content": question}] for question, _ in capitals().rows]
    answered = parity.theirs(gguf, conversations, 256, Reporter(io.BytesIO()))
    assert [each.output for each in answered] == [answer for _, answer in capitals().rows]


def test_the_gguf_has_the_same_token_ids_for_any_text(gguf: Path, base: Base) -> None:
    with child("infra.training.llama_server", str(gguf), "256", "1", stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        with httpx.Client(base_url=server.stdout.readline().strip(), trust_env=False) as client:
            asked = [client.post("/tokenize", json={"content": text, "parse_special": True}) for text in ODD]
    assert [each.json()["tokens"] for each in asked] == [base.tokenizer(text)["input_ids"] for text in ODD]


def test_every_step_is_measured_and_the_curve_goes_down(trained: Trained) -> None:
    points = [each.point for each in trained.metric]
    losses = [each.train_loss for each in points if each.train_loss is not None]
    assert [each.step for each in points] == list(range(1, 101))
    assert {each.total_steps for each in trained.metric} == {100}
    assert losses[0] > 5
    assert max(losses[-5:]) < 0.05
    assert trained.result.final_train_loss == losses[-1]
    assert all(earlier.at <= later.at for earlier, later in pairwise(points))
    assert all((each.tokens_per_second or 0) > 0 for each in trained.metric[1:])


def test_the_progress_of_a_run_never_goes_back(trained: Trained) -> None:
    said = [each.progress for each in trained.progress]
    assert said == sorted(said)
    assert (said[0], trained.progress[0].message) == (0.0, "Starting")
    assert "Training: step 12 of 100" in [each.message for each in trained.progress]
    assert 0.95 < said[-1] <= 1.0


def test_every_artefact_is_whole_and_as_it_was_told(trained: Trained) -> None:
    kinds = [each.kind for each in trained.result.files]
    assert kinds == [
        ArtifactKind.GGUF,
        ArtifactKind.ADAPTER,
        ArtifactKind.ADAPTER,
        ArtifactKind.CONFIG,
        ArtifactKind.METRICS,
        ArtifactKind.REPORT,
    ]
    for file in trained.result.files:
        content = file.path.read_bytes()
        assert (file.size_bytes, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    there = sorted(each.name for each in (trained.run.folder / "artifacts").iterdir())
    assert there == sorted(each.filename for each in trained.result.files)


def test_the_configuration_names_all_that_decides_the_result(trained: Trained, base: Base) -> None:
    config = json.loads((trained.run.folder / "artifacts" / "training_config.json").read_text())
    items = trained.run.items_path.read_bytes()
    assert config["train_item_ids"] == [f"item_{at}" for at in range(40)]
    assert config["items_sha256"] == hashlib.sha256(items).hexdigest()
    assert config["chat_template"] == base.tokenizer.chat_template
    assert (config["seed"], config["hyperparameters"]["lora_r"]) == (1, 32)
    assert config["packages"]["torch"].startswith("2.13")


def test_the_adapter_names_its_base_model_and_no_path_of_this_machine(trained: Trained) -> None:
    config = (trained.run.folder / "artifacts" / "adapter_config.json").read_text()
    assert json.loads(config)["base_model_name_or_path"] == "luthier/tiny"
    assert str(trained.run.folder) not in config


def test_the_report_tells_people_what_happened(trained: Trained) -> None:
    report = (trained.run.folder / "artifacts" / "report.md").read_text()
    assert "Trained on 40 items; 0 held out." in report
    assert "| What is the capital of France? | The capital of France is Paris. |" in report
    assert "## Parity of the GGUF: passed" in report


def test_the_tiny_model_is_trained_without_any_connection_to_elsewhere(trained: Trained) -> None:
    # The one connection is to llama.cpp on this machine.
    assert trained.connections
    assert all("'127.0.0.1'" in each for each in trained.connections)
