"""Status updates of external workers."""

import asyncio
import gzip
import hashlib
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from domain.errors import Invalid
from domain.job_events import Metric
from domain.jobs import Superseded
from domain.services import Services
from domain.status_updates import ReportedResult
from domain.training_points import TrainingPoint
from domain.use_cases import status_updates
from rest.webhook_bodies import read_status_update
from tests.clients import Api
from tests.external import KEY, put_object, report_status
from tests.finetuning import create_finetune, new_dataset
from tests.importing import fetch_dataset as shown_dataset
from tests.importing import new_qa_dataset
from tests.jobs import new_project

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 2, 1, tzinfo=UTC)
MODEL = b"GGUF, or nearly"
SHA256 = hashlib.sha256(MODEL).hexdigest()
RUN = """status error progress currentStep recentLogs modelSizeGb modelSizeParameter modelDtype modelQuantization
  trainingTimeSeconds metrics { step totalSteps epoch trainLoss evalLoss }
  history { nodes { step epoch trainLoss evalLoss perplexity } }
  inferenceSamples { prompt expected baseOutput tunedOutput }
  artifacts { filename kind quantization sizeBytes sha256 } job { status error progress message result }"""


@pytest.fixture
def services(services: Services, request: pytest.FixtureRequest) -> Services:
    """The services, with a key for external workers; a test may name another one."""
    return replace(services, external_api_key=getattr(request, "param", KEY["x-api-key"]))


@pytest.fixture
async def finetune(api: Api, services: Services) -> str:
    """A fine-tune that waits for an external worker."""
    project_id = await new_project(api)
    dataset_id = await new_dataset(services, api, project_id)
    return str((await create_finetune(api, project_id, dataset_id, runner="EXTERNAL"))["finetune"]["id"])


async def shown(api: Api, id: str, fields: str = RUN) -> Any:
    return (await api.gql(f"query($id: ID!) {{ finetune(id: $id) {{ {fields} }} }}", id=id))["finetune"]


async def model_key(api: Api, id: str) -> str:
    path = (await shown(api, id, "modelName"))["modelName"].replace("/", "_")
    return f"finetunes/{id}/{path}.gguf"


async def test_the_rewards_of_a_dpo_run_are_reported_with_its_metrics(
    api: Api, anonymous: httpx.AsyncClient, finetune: str
) -> None:
    metrics = {
        "step": 1,
        "train_loss": 0.5,
        "token_accuracy": 0.75,
        "reward_margin": -0.25,
        "reward_accuracy": 1,
    }
    await report_status(anonymous, finetune, "RUNNING", metrics=metrics)
    found = await shown(api, finetune, "history { nodes { tokenAccuracy rewardMargin rewardAccuracy } }")
    assert found["history"]["nodes"] == [
        {"tokenAccuracy": 0.75, "rewardMargin": -0.25, "rewardAccuracy": 1.0}
    ]
    response = await report_status(
        anonymous, finetune, "RUNNING", metrics={"step": 2, "reward_accuracy": 1.5}
    )
    assert response.status_code == 422
    assert "metrics.reward_accuracy" in response.json()["detail"]


async def test_a_training_is_updated_from_its_first_step_to_its_model(
    api: Api, anonymous: httpx.AsyncClient, services: Services, finetune: str
) -> None:
    metrics = {"step": 5, "epoch": 0.5, "train_loss": 2.0}
    more: dict[str, Any] = {"progress": 0.5, "current_step": "Training", "logs": ["one", "two\nthree"]}
    response = await report_status(anonymous, finetune, "RUNNING", **more, metrics=metrics)
    assert (response.status_code, response.json()) == (200, {"id": finetune, "status": "RUNNING"})
    found = await shown(api, finetune)
    assert (found["status"], found["progress"], found["currentStep"]) == ("RUNNING", 0.5, "Training")
    assert found["recentLogs"] == ["one", "two", "three"]
    assert (found["job"]["status"], found["job"]["message"]) == ("RUNNING", "Training")

    metrics = {"step": 10, "epoch": 1.0, "eval_loss": 1.5, "perplexity": 4.5, "total_steps": 10}
    await report_status(anonymous, finetune, "RUNNING", metrics=metrics)
    key = await model_key(api, finetune)
    await put_object(services, key, MODEL)
    await put_object(services, f"finetunes/{finetune}/config.json", b"{}")
    response = await report_status(
        anonymous,
        finetune,
        "DONE",
        result={
            "model_size_gb": 0.5, "model_size_parameter": 3_000_000_000, "model_dtype": "bfloat16",
            "model_quantization": "q8_0", "training_time_seconds": 12.5,
            "inference_samples": [{"prompt": "p", "expected": "e", "base_output": None, "tuned_output": "t"}],
            "artifacts": [{"filename": "config.json", "kind": "CONFIG", "sha256": "A" * 64}],
        },
    )  # fmt: skip
    assert (response.status_code, response.json()["status"]) == (200, "DONE")
    found = await shown(api, finetune)
    assert found | {"recentLogs": []} == {
        "status": "DONE", "error": None, "progress": 1.0, "currentStep": None, "recentLogs": [],
        "modelSizeGb": 0.5, "modelSizeParameter": 3_000_000_000, "modelDtype": "bfloat16",
        "modelQuantization": "q8_0", "trainingTimeSeconds": 12.5,
        "metrics": {"step": 10, "totalSteps": 10, "epoch": 1.0, "trainLoss": 2.0, "evalLoss": 1.5},
        "history": {"nodes": [
            {"step": 5, "epoch": 0.5, "trainLoss": 2.0, "evalLoss": None, "perplexity": None},
            {"step": 10, "epoch": 1.0, "trainLoss": None, "evalLoss": 1.5, "perplexity": 4.5},
        ]},
        "inferenceSamples": [{"prompt": "p", "expected": "e", "baseOutput": None, "tunedOutput": "t"}],
        "artifacts": [
            {"filename": "config.json", "kind": "CONFIG", "quantization": None, "sizeBytes": 2, "sha256": "a" * 64},
            {"filename": key.split("/")[-1], "kind": "GGUF", "quantization": "q8_0", "sizeBytes": len(MODEL),
             "sha256": SHA256},
        ],
        "job": {
            "status": "SUCCESS", "error": None, "progress": 1.0, "message": "Training",
            "result": {
                "model_name": (await shown(api, finetune, "modelName"))["modelName"], "final_train_loss": 2.0,
                "training_time_seconds": 12.5, "artifacts": ["config.json", key.split("/")[-1]],
            },
        },
    }  # fmt: skip


PATHS = [
    ("RUNNING", "RUNNING", "DONE", "DONE"),
    ("DONE", "FAILED"),
    ("DONE", "RUNNING"),
    ("FAILED", "FAILED", "DONE"),
    ("FAILED", "RUNNING"),
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("noun", ["finetune", "dataset"])
async def test_a_run_moves_only_as_it_may(
    api: Api, anonymous: httpx.AsyncClient, services: Services, noun: str, path: tuple[str, ...]
) -> None:
    project_id = await new_project(api)
    if noun == "finetune":
        made = await create_finetune(
            api, project_id, await new_dataset(services, api, project_id), runner="EXTERNAL"
        )
        id = made["finetune"]["id"]
    else:
        id = await new_qa_dataset(api, project_id)
    if noun == "finetune":
        await put_object(services, await model_key(api, id), MODEL)
    for before, status in zip((None, *path), path, strict=False):
        response = await report_status(anonymous, id, status)
        if before in {None, "RUNNING", status}:
            assert (response.status_code, response.json()) == (200, {"id": id, "status": status})
        else:
            assert (response.status_code, response.json()["error_code"]) == (409, "INVALID_TRANSITION")


async def test_a_failure_has_the_error_of_the_worker(
    api: Api, anonymous: httpx.AsyncClient, finetune: str
) -> None:
    await report_status(anonymous, finetune, "FAILED", error="CUDA out of memory.", logs="a\nb")
    found = await shown(api, finetune, "status error recentLogs job { status error }")
    assert found == {
        "status": "FAILED", "error": "CUDA out of memory.", "recentLogs": ["a", "b"],
        "job": {"status": "FAILED", "error": "CUDA out of memory."},
    }  # fmt: skip


async def test_a_run_that_was_cancelled_takes_no_more_reports(
    api: Api, anonymous: httpx.AsyncClient, finetune: str
) -> None:
    await report_status(anonymous, finetune, "RUNNING")
    await api.mutate("cancelFinetune", "finetune { status }", id=finetune)
    for status in ("RUNNING", "DONE", "FAILED"):
        assert (await report_status(anonymous, finetune, status)).status_code == 409
    assert (await shown(api, finetune, "status"))["status"] == "ABORTED"


async def test_luthiers_own_runs_take_no_reports(
    api: Api, anonymous: httpx.AsyncClient, services: Services
) -> None:
    project_id = await new_project(api)
    made = await create_finetune(api, project_id, await new_dataset(services, api, project_id))
    response = await report_status(anonymous, made["finetune"]["id"], "RUNNING")
    assert (response.status_code, response.json()["error_code"]) == (409, "NOT_EXTERNAL")


async def test_reports_that_come_at_once_end_a_run_once(
    api: Api, anonymous: httpx.AsyncClient, services: Services, finetune: str
) -> None:
    await put_object(services, await model_key(api, finetune), MODEL)
    responses = await asyncio.gather(
        *(report_status(anonymous, finetune, "DONE", logs=["end"]) for _ in range(6))
    )
    assert [response.status_code for response in responses] == [200] * 6
    found = await shown(api, finetune, "recentLogs job { attempts events(kinds: [STATUS]) { totalCount } }")
    assert found == {"recentLogs": ["end"], "job": {"attempts": 1, "events": {"totalCount": 3}}}


async def test_an_artifact_that_is_not_in_storage_is_422_and_changes_nothing(
    api: Api, anonymous: httpx.AsyncClient, services: Services, finetune: str
) -> None:
    files = [{"filename": "model.gguf", "kind": "GGUF", "sha256": SHA256}]
    await put_object(services, f"finetune/{finetune}/model.gguf", MODEL)
    response = await report_status(anonymous, finetune, "DONE", result={"artifacts": files}, logs=["x"])
    assert (response.status_code, response.json()["error_code"]) == (422, "UNPROCESSABLE")
    assert response.json()["detail"] == (
        "The file model.gguf is not in storage; "
        f"put it under {services.storage.uri}/finetunes/{finetune}/ before DONE is reported."
    )
    found = await shown(api, finetune, "status recentLogs artifacts { filename }")
    assert found == {"status": "PLANNING", "recentLogs": [], "artifacts": []}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"status": "PLANNING"},
        {"status": "running"},
        {"Status": "RUNNING"},
        {"status": "RUNNING", "message": "x"},
        {"status": "RUNNING", "metrics": {"step": 1, "loss": 2.0}},
        {"status": "DONE", "result": {"size": 1}},
        {"status": ["DONE"]},
        {"status": "RUNNING", "progress": 1.1},
        {"status": "RUNNING", "progress": "0.5"},
        {"status": "RUNNING", "progress": True},
        {"status": "FAILED", "error": 5},
        {"status": "FAILED", "error": "a\0b"},
        {"status": "FAILED", "error": "\ud800"},
        {"status": "RUNNING", "current_step": "x" * 1_001},
        {"status": "RUNNING", "logs": [1]},
        {"status": "RUNNING", "logs": {"a": 1}},
        {"status": "RUNNING", "logs": ["x"] * 1_001},
        {"status": "RUNNING", "logs": "x\n" * 1_001},
        {"status": "RUNNING", "metrics": []},
        {"status": "RUNNING", "metrics": {}},
        {"status": "RUNNING", "metrics": {"step": -1}},
        {"status": "RUNNING", "metrics": {"step": 1.5}},
        {"status": "RUNNING", "metrics": {"step": 2**31}},
        {"status": "RUNNING", "metrics": {"step": 1, "train_loss": float("nan")}},
        {"status": "RUNNING", "metrics": {"step": 1, "train_loss": 10**400}},
        {"status": "RUNNING", "metrics": {"step": 1, "train_loss": 2.0**64}},
        {"status": "RUNNING", "metrics": {"step": 1, "learning_rate": 2.0**64}},
        {"status": "RUNNING", "metrics": {"step": 1, "at": "yesterday"}},
        {"status": "RUNNING", "metrics": {"step": 1, "at": "0001-01-01T00:00:00+23:59"}},
        {"status": "RUNNING", "metrics": {"step": 1, "at": "9999-12-31T23:59:59-23:59"}},
        {"status": "DONE", "result": {"model_size_gb": -1}},
        {"status": "DONE", "result": {"model_size_parameter": 2**63}},
        {"status": "DONE", "result": {"model_dtype": "x" * 101}},
        {"status": "DONE", "result": {"inference_samples": ["x"]}},
        {"status": "DONE", "result": {"inference_samples": [{"prompt": "p"}]}},
        {"status": "DONE", "result": {"artifacts": [{"filename": "../x", "kind": "GGUF", "sha256": SHA256}]}},
        {"status": "DONE", "result": {"artifacts": [{"filename": "..", "kind": "GGUF", "sha256": SHA256}]}},
        {"status": "DONE", "result": {"artifacts": [{"filename": "x", "kind": "VIDEO", "sha256": SHA256}]}},
        {"status": "DONE", "result": {"artifacts": [{"filename": "x", "kind": "GGUF", "sha256": "x" * 64}]}},
    ],
)
async def test_a_report_that_breaks_a_rule_is_422_in_one_sentence(
    api: Api, anonymous: httpx.AsyncClient, body: dict[str, Any]
) -> None:
    id = await new_qa_dataset(api)
    response = await anonymous.put(
        f"/api/external/training-datasets/{id}/update-status", headers=KEY, content=json.dumps(body)
    )
    assert (response.status_code, response.json()["error_code"]) == (422, "UNPROCESSABLE")
    assert re.fullmatch(r"`[\w.\[\]]+` [^\n]{1,200}\.", response.json()["detail"])
    assert (await shown_dataset(api, id, "status"))["status"] == "PLANNING"


@pytest.mark.parametrize(
    ("body", "path", "detail"),
    [
        ({}, "status", "`status` is missing."),
        ({"status": "no"}, "status", "`status` must be 'RUNNING', 'FAILED' or 'DONE'."),
        ({"logs": ["x", 1]}, "logs[1]", "`logs[1]` must be a valid string."),
        ({"logs": [1] * 300_000}, "logs[0]", "`logs[0]` must be a valid string."),
        ({"metrics": {"step": 1, "epoch": -1}}, "metrics.epoch", "`metrics.epoch` must be greater than or equal to 0."),
        ({"result": {"inference_samples": [{}]}}, "result.inference_samples[0].prompt", "`result.inference_samples[0].prompt` is missing."),
        (
            {"result": {"artifacts": [{"filename": "../x", "kind": "GGUF", "sha256": SHA256}]}},
            "result.artifacts[0].filename",
            "`result.artifacts[0].filename` must be a file name of letters, digits and ._- only.",
        ),
    ],
)  # fmt: skip
def test_a_refusal_names_the_path_of_the_field(body: dict[str, Any], path: str, detail: str) -> None:
    body = {"status": "RUNNING", **body} if body else body
    with pytest.raises(Invalid) as refused:
        read_status_update(body, NOW)
    assert (refused.value.message, refused.value.field, refused.value.reason) == (
        detail,
        [path],
        "UNPROCESSABLE",
    )


def test_empty_lines_of_a_log_in_one_text_are_left_out() -> None:
    assert read_status_update({"status": "RUNNING", "logs": "a\n\nb" + "\n" * 2_000}, NOW).logs == ("a", "b")


SAMPLE = {"prompt": "p", "tuned_output": "t"}
FILE = {"filename": "x.gguf", "kind": "GGUF", "sha256": SHA256}
METRIC_FIELDS = (
    "step, total_steps, epoch, train_loss, eval_loss, perplexity, learning_rate, token_accuracy, reward_margin, "
    "reward_accuracy, tokens_per_second, at"
)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"Status": "DONE"}, "`Status` is not a field; the nearest one is `status`."),
        ({"status": "RUNNING", "currentStep": "x"}, "`currentStep` is not a field; the nearest one is `current_step`."),
        ({"status": "RUNNING", "metrics": {"loss": 1}}, f"`metrics.loss` is not a field; the fields here are {METRIC_FIELDS}."),
        ({"status": "DONE", "result": {"modelSizeGb": 1}}, "`result.modelSizeGb` is not a field; the nearest one is `model_size_gb`."),
        ({"status": "DONE", "result": {"model_size": 1}}, "`result.model_size` is not a field; the nearest one is `model_size_gb`."),
        (
            {"status": "DONE", "result": {"inference_samples": [SAMPLE, SAMPLE | {"tunedOutput": "t"}]}},
            "`result.inference_samples[1].tunedOutput` is not a field; the nearest one is `tuned_output`.",
        ),
        (
            {"status": "DONE", "result": {"artifacts": [FILE | {"size": 1}] * 1_000}},
            "`result.artifacts[0].size` is not a field; the fields here are filename, kind, sha256.",
        ),
        ({"status": "RUNNING"} | {f"a{number}": 1 for number in range(100_000)}, "`a0` is not a field; the fields here are status, error, progress, current_step, logs, metrics, result."),
        ({"\ud800\n" + "x" * 1_000: 1}, f"`??{'x' * 58}…` is not a field; the fields here are status, error, progress, current_step, logs, metrics, result."),
    ],
)  # fmt: skip
def test_an_unknown_field_is_refused_with_its_path_and_the_name_that_may_be_meant(
    body: dict[str, Any], detail: str
) -> None:
    with pytest.raises(Invalid) as refused:
        read_status_update(body, NOW)
    assert (refused.value.message, refused.value.reason) == (detail, "UNPROCESSABLE")
    assert refused.value.field == [detail.split("`")[1]]


async def test_an_unknown_field_is_422_and_changes_nothing(
    api: Api, anonymous: httpx.AsyncClient, finetune: str
) -> None:
    response = await report_status(anonymous, finetune, "RUNNING", logs=["x"], gpu=3)
    assert (response.status_code, response.json()["error_code"]) == (422, "UNPROCESSABLE")
    assert await shown(api, finetune, "status recentLogs") == {"status": "PLANNING", "recentLogs": []}


def test_a_word_in_another_case_is_refused_with_the_words_that_there_are() -> None:
    for body, words in (
        ({"status": "done"}, "`status` must be 'RUNNING', 'FAILED' or 'DONE'."),
        (
            {"status": "DONE", "result": {"artifacts": [FILE | {"kind": "gguf"}]}},
            "`result.artifacts[0].kind` must be 'GGUF', 'ADAPTER', 'BASE_MODEL', 'MERGED', 'CONFIG', 'METRICS', 'REPORT' or 'ARCHIVE'.",
        ),
    ):
        with pytest.raises(Invalid) as refused:
            read_status_update(body, NOW)
        assert refused.value.message == words


def test_nulls_are_ignored() -> None:
    body = {"status": "RUNNING", "error": None, "logs": None, "metrics": {"step": 1, "epoch": None}}
    update = read_status_update(body, NOW)
    assert update.metric == Metric(TrainingPoint(step=1, epoch=0.0, at=NOW), total_steps=0)
    assert (update.status, update.error, update.logs, update.result) == (
        "RUNNING",
        None,
        (),
        ReportedResult(),
    )


@pytest.mark.parametrize(
    ("given", "at"),
    [
        ("2026-01-31T12:00:00+01:00", datetime(2026, 1, 31, 11, tzinfo=UTC)),
        ("2026-01-31T12:00:00", datetime(2026, 1, 31, 12, tzinfo=UTC)),
    ],
)
def test_a_time_without_an_offset_is_in_utc(given: str, at: datetime) -> None:
    update = read_status_update({"status": "RUNNING", "metrics": {"step": 1, "at": given}}, NOW)
    assert update.metric is not None
    assert update.metric.point.at == at


async def test_who_may_report(api: Api, anonymous: httpx.AsyncClient, finetune: str) -> None:
    url, body = f"/api/external/finetunes/{finetune}/update-status", {"status": "RUNNING"}
    assert (await anonymous.put(url, json=body)).status_code == 401
    assert (await anonymous.put(url, json=body, headers={"x-api-key": "no"})).status_code == 401
    assert (await anonymous.put(url, json=body, headers={"x-api-key": ""})).status_code == 401
    assert (await api.other.rest.put(url, json=body)).status_code == 404
    assert (await api.rest.put(url, json=body)).status_code == 200
    assert (await anonymous.post(url, json=body, headers=KEY)).status_code == 200


@pytest.mark.parametrize("services", [""], indirect=True)
async def test_an_empty_key_opens_nothing(api: Api, anonymous: httpx.AsyncClient, finetune: str) -> None:
    url, body = f"/api/external/finetunes/{finetune}/update-status", {"status": "RUNNING"}
    for headers in ({"x-api-key": ""}, {"x-api-key": "no"}):
        response = await anonymous.put(url, json=body, headers=headers)
        assert (response.status_code, response.json()["error_code"]) == (401, "INVALID_API_KEY")
    assert (await shown(api, finetune, "status"))["status"] == "PLANNING"


async def test_an_update_that_is_superseded_three_times_is_a_conflict(
    anonymous: httpx.AsyncClient, finetune: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def superseded(*_given: Any, **_named: Any) -> None:
        raise Superseded

    monkeypatch.setattr(status_updates, "update_finetune", superseded)
    response = await report_status(anonymous, finetune, "RUNNING")
    assert (response.status_code, response.json()["error_code"]) == (409, "RUN_CHANGED")


async def test_a_body_that_is_too_large_is_413(anonymous: httpx.AsyncClient, finetune: str) -> None:
    response = await report_status(anonymous, finetune, "RUNNING", logs="x" * 1_048_577)
    assert (response.status_code, response.json()["error_code"]) == (413, "BODY_TOO_LARGE")


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "identity, br"])
async def test_a_compressed_body_is_415(anonymous: httpx.AsyncClient, finetune: str, coding: str) -> None:
    for headers in ({"content-type": "application/json"}, {"content-type": "text/plain"}, {}):
        response = await anonymous.put(
            f"/api/external/finetunes/{finetune}/update-status",
            headers=KEY | headers | {"content-encoding": coding},
            content=gzip.compress(b'{"status": "RUNNING"}'),
        )
        assert (response.status_code, response.json()["error_code"]) == (415, "BODY_COMPRESSED")
        assert response.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    "id", ["finetune_nothing", "finetune_00000000000000000000000000", "ds_x", "ds_" + "0" * 26]
)
async def test_an_unknown_run_is_404(anonymous: httpx.AsyncClient, id: str) -> None:
    assert (await report_status(anonymous, id, "DONE")).status_code == 404
