import io
import json
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from domain.conversations import Conversation
from domain.ports.trainer import ItemsPrepared
from infra.training import parity
from infra.training.base_model import LocalBaseModel, fetch_base_model
from infra.training.reporter import Reporter
from infra.training.subprocesses import child_process
from tests.infra.training.conftest import Trained, capitals

ODD = [
    "  two  spaces ",
    "\n\n\ttab\r\n",
    "Österreich, Łódź, 東京 🎉👩‍👩‍👧",
    "<0x41> {{ x }} <|im_",
    "9 0.5 ''``\\",
    "a",
]
JSON_PROMPTS = [
    "What is the capital of Japan?",
    "Return JSON with the capital of France.",
    "Give me a person as JSON.",
    "name and city please, as json",
    "List three colours as JSON.",
    "Hello!",
    "Answer in JSON: who are you?",
    '{"question": "capital of Peru"}',
]
FREE_TEXT = {
    "name": "free_text",
    "schema": {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]},
}


@pytest.fixture(scope="module")
def base_model(models: Path) -> LocalBaseModel:
    return fetch_base_model("luthier/tiny", models)


@pytest.fixture(scope="module")
def gguf(trained: Trained) -> Path:
    return trained.run.folder / "artifacts" / "Capitals__by_heart.gguf"


def test_a_table_is_memorized_and_the_export_answers_as_the_trained_model(
    trained: Trained, base_model: LocalBaseModel
) -> None:
    result = trained.result
    assert result.parity is not None
    assert (result.parity.passed, result.parity.prompts_compared, result.parity.detail) == (True, 16, None)
    expected = [sample.expected for sample in result.samples]
    assert [sample.tuned_output for sample in result.samples] == expected
    assert [sample.base_output for sample in result.samples] != expected
    assert len(result.samples) == 5
    prepared = ItemsPrepared(trained_item_count=40, base_model_sha256=base_model.sha256)
    assert (trained.prepared, result.warnings) == (prepared, ())
    assert not result.samples_held_out


def test_the_gguf_answers_every_question_rightly(gguf: Path) -> None:
    conversations = [
        Conversation(messages=[{"role": "user", "content": question}]) for question, _ in capitals().rows
    ]
    results = parity.gguf_results(gguf, conversations, 256, Reporter(io.BytesIO()))
    assert [result.output for result in results] == [answer for _, answer in capitals().rows]


def test_the_gguf_has_the_same_token_ids_for_any_text(gguf: Path, base_model: LocalBaseModel) -> None:
    with child_process(
        "infra.training.llama_server", str(gguf), "256", "1", stdout=subprocess.PIPE
    ) as server:
        assert server.stdout is not None
        with httpx.Client(base_url=server.stdout.readline().strip(), trust_env=False) as client:
            responses = [
                client.post("/tokenize", json={"content": text, "parse_special": True}) for text in ODD
            ]
    assert [response.json()["tokens"] for response in responses] == [
        base_model.tokenizer(text)["input_ids"] for text in ODD
    ]


@pytest.mark.parametrize(
    "response_format", [{"type": "json_object"}, {"type": "json_schema", "json_schema": FREE_TEXT}]
)
def test_the_gguf_answers_in_json_mode_with_characters_alone(
    gguf: Path, response_format: dict[str, Any]
) -> None:
    request = {"temperature": 0, "max_tokens": 256, "response_format": response_format}
    with child_process(
        "infra.training.llama_server", str(gguf), "512", "1", stdout=subprocess.PIPE
    ) as server:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        with httpx.Client(base_url=address, timeout=60, trust_env=False) as client:
            responses = [
                client.post(
                    "/v1/chat/completions", json=request | {"messages": [{"role": "user", "content": prompt}]}
                )
                for prompt in JSON_PROMPTS
            ]
    assert [response.status_code for response in responses] == [200] * len(JSON_PROMPTS)
    choices = [response.json()["choices"][0] for response in responses]
    answers = [choice["message"]["content"] for choice in choices if choice["finish_reason"] == "stop"]
    assert answers
    assert all(isinstance(json.loads(answer), dict) for answer in answers)


def test_every_step_is_measured_and_the_loss_falls(trained: Trained) -> None:
    points = [metric.point for metric in trained.metrics]
    losses = [point.train_loss for point in points if point.train_loss is not None]
    assert [point.step for point in points] == list(range(1, 101))
    assert {metric.total_steps for metric in trained.metrics} == {100}
    assert losses[0] > 5
    assert max(losses[-5:]) < 0.05
    assert trained.result.final_train_loss == losses[-1]
    assert all(earlier.at <= later.at for earlier, later in pairwise(points))
    assert all((metric.tokens_per_second or 0) > 0 for metric in trained.metrics[1:])


def test_the_progress_of_a_run_never_decreases(trained: Trained) -> None:
    shares = [report.progress for report in trained.progress]
    assert shares == sorted(shares)
    assert (shares[0], trained.progress[0].message) == (0.0, "Starting")
    assert "Training: step 12 of 100" in [report.message for report in trained.progress]
    assert 0.95 < shares[-1] <= 1.0


def test_the_tiny_model_is_trained_without_a_connection_to_another_machine(trained: Trained) -> None:
    # The one connection is to llama.cpp on this machine.
    assert trained.connections
    assert all("'127.0.0.1'" in address for address in trained.connections)
