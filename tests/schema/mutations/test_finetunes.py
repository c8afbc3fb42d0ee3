"""Fine-tunes over GraphQL: what may start, what is frozen, what is shown, how one ends."""

import asyncio
from typing import Any

import pytest

from benchmarks.recorded import recorded_statements
from domain.services import Services
from tests.clients import Api
from tests.conftest import Worker
from tests.fakes.runtime import FakeRuntime
from tests.finetuning import (
    CAPITALS,
    TINY,
    create_finetune,
    fetch_finetune,
    new_dataset,
    new_preference_dataset,
    new_project,
    trained_finetune,
)

pytestmark = pytest.mark.anyio

NOWHERE = "finetune_00000000000000000000000000"
SIXTY = [(f"Question {number}?", f"Answer {number}") for number in range(60)]
RUN = """id version modelName name baseModelName status error objective method seed
  trainingDatasetNumberExamples trainingDatasetSelectRandom trainedItemCount
  hyperparameters { numEpochs learningRate perDeviceBatchSize gradientAccumulationSteps maxSeqLength loraR
    loraAlpha loraDropout targetModules warmupRatio weightDecay beta }
  baseModel { modelId } dataset { id } project { id } progress currentStep elapsedSeconds recentLogs
  metrics { step totalSteps epoch trainLoss evalLoss learningRate tokensPerSecond accuracy f1Score }
  history { nodes { step trainLoss } totalCount }
  modelSizeGb modelSizeParameter modelDtype modelQuantization trainingTimeSeconds samplesHeldOut warnings
  inferenceSamples { prompt expected baseOutput tunedOutput }
  artifacts { filename kind quantization sizeBytes downloadUrl }
  parity { passed promptsCompared templateMatches tokenIdsMatch outputsMatching detail }
  job { id status } deployments { nodes { id } } outputPath downloadUrl startedAt completedAt"""


async def trained_on(api: Api, id: str) -> list[str]:
    found = await fetch_finetune(api, id, "trainedItems(first: 100) { nodes { values split } totalCount }")
    assert found["trainedItems"]["totalCount"] == len(found["trainedItems"]["nodes"])
    assert {node["split"] for node in found["trainedItems"]["nodes"]} == {"TRAIN"}
    return [node["values"][0] for node in found["trainedItems"]["nodes"]]


async def start(services: Services, api: Api, **given: Any) -> dict[str, Any]:
    project_id = await new_project(api)
    return await create_finetune(api, project_id, await new_dataset(services, api, project_id), **given)


async def test_a_new_fine_tune_is_planned_with_all_its_settings(api: Api, services: Services) -> None:
    project_id = await new_project(api, "Capital Cities", config={"maxSeqLength": 256})
    dataset_id = await new_dataset(services, api, project_id)
    made = await create_finetune(
        api,
        project_id,
        dataset_id,
        hyperparameters={"numEpochs": 2, "loraR": None},
        seed=7,
        outputName="Mine",
    )
    assert (made["job"]["type"], made["job"]["status"]) == ("FINETUNE", "QUEUED")
    found = await fetch_finetune(api, made["finetune"]["id"], RUN)
    assert found["hyperparameters"]["numEpochs"] == 2
    assert found["hyperparameters"]["maxSeqLength"] == 256
    assert (found["hyperparameters"]["loraR"], found["hyperparameters"]["beta"]) == (32, None)
    expected = {
        "version": 1, "modelName": "luthier/tiny_capital_cities_v1", "name": "Mine", "baseModelName": TINY,
        "status": "PLANNING", "error": None, "objective": "SFT", "method": "LORA", "seed": 7, "trainedItemCount": 3,
        "trainingDatasetNumberExamples": None, "trainingDatasetSelectRandom": False,
        "baseModel": {"modelId": TINY}, "dataset": {"id": dataset_id}, "project": {"id": project_id},
        "progress": 0.0, "currentStep": None, "elapsedSeconds": None, "recentLogs": [], "metrics": None,
        "history": {"nodes": [], "totalCount": 0}, "artifacts": [], "parity": None, "inferenceSamples": [],
        "warnings": [], "job": {"id": made["job"]["id"], "status": "QUEUED"}, "deployments": {"nodes": []},
        "outputPath": None, "downloadUrl": None, "startedAt": None, "completedAt": None,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == expected


async def test_a_trained_fine_tune_shows_its_curve_its_files_and_its_samples(
    api: Api, services: Services, worker: Worker
) -> None:
    made = await trained_finetune(services, api, worker)
    found = await fetch_finetune(api, made["id"], RUN)
    path = f"/api/projects/{made['project_id']}/finetunes/{made['id']}"
    model = "luthier_tiny_capitals_v1.gguf"
    expected = {
        "status": "DONE", "progress": 1.0, "currentStep": None,
        "recentLogs": ["Training items: 3", "trained", "Published."],
        "metrics": {
            "step": 2, "totalSteps": 2, "epoch": 1.0, "trainLoss": 1.0, "evalLoss": None,
            "learningRate": 0.001, "tokensPerSecond": 100.0, "accuracy": None, "f1Score": None,
        },
        "history": {"nodes": [{"step": 1, "trainLoss": 2.0}, {"step": 2, "trainLoss": 1.0}], "totalCount": 2},
        "modelSizeGb": 0.1, "modelSizeParameter": 1000, "modelDtype": "float32", "modelQuantization": "q8_0",
        "trainingTimeSeconds": 1.5, "samplesHeldOut": False, "warnings": [],
        "inferenceSamples": [{"prompt": "q", "expected": "a", "baseOutput": "?", "tunedOutput": "a"}],
        "artifacts": [
            {
                "filename": model, "kind": "GGUF", "quantization": "q8_0", "sizeBytes": 15,
                "downloadUrl": f"{path}/artifacts/{model}",
            },
            {
                "filename": "training_config.json", "kind": "CONFIG", "quantization": None, "sizeBytes": 2,
                "downloadUrl": f"{path}/artifacts/training_config.json",
            },
        ],
        "parity": {
            "passed": True, "promptsCompared": 1, "templateMatches": True, "tokenIdsMatch": True,
            "outputsMatching": 1, "detail": None,
        },
        "outputPath": f"{services.storage.uri}/finetunes/{made['id']}/{model}",
        "downloadUrl": f"{path}/download",
    }  # fmt: skip
    assert {name: found[name] for name in expected} == expected
    assert found["startedAt"] <= found["completedAt"]
    assert found["elapsedSeconds"] >= 0


REFUSED: list[tuple[dict[str, Any], str, str, list[str]]] = [
    ({"baseModelName": "nobody/nothing"}, "INVALID", "UNKNOWN_BASE_MODEL", ["baseModelName"]),
    ({"hyperparameters": {"loraR": 0}}, "INVALID", "OUT_OF_RANGE", ["hyperparameters", "loraR"]),
    (
        {"hyperparameters": {"targetModules": ["lm_head"]}},
        "INVALID",
        "UNKNOWN_TARGET_MODULE",
        ["hyperparameters", "targetModules"],
    ),
    ({"method": "QLORA"}, "INVALID", "METHOD_UNAVAILABLE", ["method"]),
    ({"objective": "DPO"}, "INVALID", "OBJECTIVE_MISMATCH", ["objective"]),
    ({"hyperparameters": {"beta": 0.1}}, "INVALID", "OBJECTIVE_MISMATCH", ["hyperparameters", "beta"]),
    ({"seed": -1}, "INVALID", "OUT_OF_RANGE", ["seed"]),
    ({"trainingDatasetNumberExamples": 0}, "INVALID", "OUT_OF_RANGE", ["trainingDatasetNumberExamples"]),
    ({"outputName": " "}, "INVALID", "REQUIRED", ["outputName"]),
    (
        {"trainingDatasetId": "ds_00000000000000000000000000"},
        "NOT_FOUND",
        "DATASET_NOT_FOUND",
        ["trainingDatasetId"],
    ),
    ({"projectId": "garbage"}, "NOT_FOUND", "PROJECT_NOT_FOUND", ["projectId"]),
]


async def test_an_impossible_training_is_refused_and_not_stored(api: Api, services: Services) -> None:
    project_id = await new_project(api)
    dataset_id = await new_dataset(services, api, project_id)
    input = {"projectId": project_id, "baseModelName": TINY, "trainingDatasetId": dataset_id}
    for given, code, reason, field in REFUSED:
        error = await api.refused("createFinetune", **(input | given))
        assert (error["code"], error["reason"], error["field"]) == (code, reason, field)
    assert await api.gql("{ finetunes { totalCount } jobs { totalCount } }") == {
        "finetunes": {"totalCount": 0},
        "jobs": {"totalCount": 0},
    }


async def test_an_unsupported_method_is_refused_but_for_an_external_runner(
    api: Api, services: Services
) -> None:
    project_id = await new_project(api)
    dataset_id = await new_dataset(services, api, project_id)
    input = {"projectId": project_id, "baseModelName": TINY, "trainingDatasetId": dataset_id}
    error = await api.refused("createFinetune", **input, method="QLORA")
    assert error["message"] == "QLoRA needs CUDA; use LORA."
    made = await create_finetune(api, project_id, dataset_id, method="QLORA", runner="EXTERNAL")
    assert made["job"]["status"] == "QUEUED"


async def test_dpo_trains_on_preference_pairs_with_defaults_of_its_own(api: Api, services: Services) -> None:
    project_id = await new_project(api)
    dataset_id = await new_preference_dataset(services, api, project_id)
    made = await create_finetune(api, project_id, dataset_id, objective="DPO")
    found = await fetch_finetune(
        api, made["finetune"]["id"], "objective method trainedItemCount hyperparameters { beta learningRate }"
    )
    assert found == {
        "objective": "DPO", "method": "LORA", "trainedItemCount": 2,
        "hyperparameters": {"beta": 0.1, "learningRate": 0.0003},
    }  # fmt: skip


DPO_REFUSED: list[tuple[dict[str, Any], str, list[str], str]] = [
    (
        {},
        "OBJECTIVE_MISMATCH",
        ["objective"],
        "The dataset has preference pairs, which the objective DPO trains on, and SFT cannot.",
    ),
    (
        {"objective": "DPO", "method": "FULL", "runner": "EXTERNAL"},
        "METHOD_UNAVAILABLE",
        ["method"],
        (
            "DPO cannot train by FULL: its reference is the base model, which is the model without its adapter; "
            "use LORA or QLORA."
        ),
    ),
    (
        {"objective": "DPO", "hyperparameters": {"beta": 0}},
        "OUT_OF_RANGE",
        ["hyperparameters", "beta"],
        "`hyperparameters.beta` must be above 0 and at most 2, not 0.",
    ),
    (
        {"objective": "DPO", "hyperparameters": {"beta": 2.5}},
        "OUT_OF_RANGE",
        ["hyperparameters", "beta"],
        "`hyperparameters.beta` must be above 0 and at most 2, not 2.5.",
    ),
    (
        {"objective": "SFT", "hyperparameters": {"beta": 0.1}},
        "OBJECTIVE_MISMATCH",
        ["hyperparameters", "beta"],
        "`beta` is a hyperparameter of the objective DPO; SFT has none.",
    ),
]


@pytest.mark.parametrize(("given", "reason", "field", "message"), DPO_REFUSED)
async def test_a_training_on_preference_pairs_that_cannot_be_is_refused(
    api: Api, services: Services, given: dict[str, Any], reason: str, field: list[str], message: str
) -> None:
    project_id = await new_project(api)
    dataset_id = await new_preference_dataset(services, api, project_id)
    input = {"projectId": project_id, "baseModelName": TINY, "trainingDatasetId": dataset_id}
    error = await api.refused("createFinetune", **(input | given))
    assert (error["code"], error["reason"], error["field"]) == ("INVALID", reason, field)
    assert error["message"] == message


async def test_a_dataset_that_is_not_done_or_has_no_valid_item_is_refused(
    api: Api, services: Services
) -> None:
    project_id = await new_project(api)
    planned = await api.mutate(
        "createDataset", "dataset { id }",
        projectId=project_id, inputField="q", outputField="a", fieldNames=["q", "a"],
    )  # fmt: skip
    input = {"projectId": project_id, "baseModelName": TINY}
    error = await api.refused("createFinetune", **input, trainingDatasetId=planned["dataset"]["id"])
    assert (error["code"], error["reason"]) == ("CONFLICT", "DATASET_NOT_DONE")
    for rows in ([], [("a question without an answer", "")]):
        empty = await new_dataset(services, api, project_id, rows)
        error = await api.refused("createFinetune", **input, trainingDatasetId=empty)
        assert (error["code"], error["reason"]) == ("INVALID", "NO_VALID_ITEMS")


async def test_a_dataset_of_another_project_is_not_found(api: Api, services: Services) -> None:
    here, there = await new_project(api, "here"), await new_project(api, "there")
    dataset_id = await new_dataset(services, api, there)
    error = await api.refused(
        "createFinetune", projectId=here, baseModelName=TINY, trainingDatasetId=dataset_id
    )
    assert error["reason"] == "DATASET_NOT_FOUND"


async def test_a_project_trains_one_model_at_a_time(api: Api, services: Services, worker: Worker) -> None:
    made = await start(services, api)
    found = await fetch_finetune(api, made["finetune"]["id"], "project { id } dataset { id }")
    input = {
        "projectId": found["project"]["id"], "baseModelName": TINY, "trainingDatasetId": found["dataset"]["id"],
    }  # fmt: skip
    error = await api.refused("createFinetune", **input)
    assert (error["code"], error["reason"]) == ("CONFLICT", "TRAINING_ALREADY_RUNNING")
    assert error["context"] == {"finetuneId": made["finetune"]["id"]}
    await worker.drain()
    second = await api.mutate("createFinetune", "finetune { version modelName }", **input)
    assert second["finetune"] == {"version": 2, "modelName": "luthier/tiny_capitals_v2"}


async def test_of_concurrent_trainings_one_is_started(api: Api, services: Services) -> None:
    project_id = await new_project(api)
    dataset_id = await new_dataset(services, api, project_id)
    input = {"projectId": project_id, "baseModelName": TINY, "trainingDatasetId": dataset_id}
    payloads = await asyncio.gather(
        *(api.attempt("createFinetune", "finetune { id }", **input) for _ in range(5))
    )
    refused = [payload["userErrors"][0]["reason"] for payload in payloads if payload["userErrors"]]
    assert refused == ["TRAINING_ALREADY_RUNNING"] * 4
    assert (await api.gql("{ finetunes { totalCount } }"))["finetunes"]["totalCount"] == 1


async def test_later_corrections_and_deletions_do_not_change_what_is_trained_on(
    api: Api, services: Services
) -> None:
    made = await start(services, api)
    finetune, questions = made["finetune"], [question for question, _ in CAPITALS]
    assert await trained_on(api, finetune["id"]) == questions
    dataset = (
        await fetch_finetune(api, finetune["id"], "dataset { id contentHash items { nodes { id } } }")
    )["dataset"]
    assert finetune["trainedContentHash"] == dataset["contentHash"]
    first, second, _ = (node["id"] for node in dataset["items"]["nodes"])
    await api.mutate("correctItem", "item { id }", itemId=first, values=["Capital of Spain?", "Madrid"])
    await api.mutate("deleteItems", "count", itemIds=[second])
    assert await trained_on(api, finetune["id"]) == questions
    after = await fetch_finetune(api, finetune["id"], "trainedContentHash dataset { contentHash }")
    assert after["trainedContentHash"] == finetune["trainedContentHash"] != after["dataset"]["contentHash"]


async def test_a_fine_tune_still_shows_its_deleted_dataset(
    api: Api, services: Services, worker: Worker
) -> None:
    made = await trained_finetune(services, api, worker)
    await api.mutate("deleteDataset", "deletedId", id=made["dataset_id"])
    found = await fetch_finetune(api, made["id"], "dataset { id status }")
    assert found["dataset"] == {"id": made["dataset_id"], "status": "DELETED"}
    assert await trained_on(api, made["id"]) == [question for question, _ in CAPITALS]


async def test_items_are_the_first_ones_or_a_random_sample_of_the_seed(api: Api, services: Services) -> None:
    async def chosen(**given: Any) -> list[str]:
        project_id = await new_project(api)
        dataset_id = await new_dataset(services, api, project_id, SIXTY)
        made = await create_finetune(api, project_id, dataset_id, trainingDatasetNumberExamples=5, **given)
        assert made["finetune"]["trainedItemCount"] == 5
        return await trained_on(api, made["finetune"]["id"])

    first = await chosen()
    assert first == sorted(first, key=lambda question: int(question.split()[1].rstrip("?")))
    assert len(set(first)) == 5
    project_id = await new_project(api)
    dataset_id = await new_dataset(services, api, project_id, SIXTY)
    lots = []
    for seed in (1, 1, 2):
        made = await create_finetune(
            api, project_id, dataset_id,
            trainingDatasetNumberExamples=5, trainingDatasetSelectRandom=True, seed=seed,
        )  # fmt: skip
        lots.append(await trained_on(api, made["finetune"]["id"]))
        await api.mutate("cancelFinetune", "finetune { id }", id=made["finetune"]["id"])
    assert lots[0] == lots[1] != lots[2]
    assert lots[0] != first


async def test_a_planned_training_is_cancelled_once(api: Api, services: Services, worker: Worker) -> None:
    made = await start(services, api)
    id = made["finetune"]["id"]
    ended = await api.mutate("cancelFinetune", "finetune { status job { status } }", id=id)
    assert ended["finetune"] == {"status": "ABORTED", "job": {"status": "CANCELLED"}}
    assert (await api.refused("cancelFinetune", id=id))["reason"] == "JOB_ENDED"
    await worker.drain()
    assert (await fetch_finetune(api, id, "status"))["status"] == "ABORTED"


async def test_a_fine_tune_is_deleted_with_its_files_once_it_is_not_deployed(
    api: Api, services: Services, worker: Worker, runtime: FakeRuntime
) -> None:
    running = await start(services, api)
    error = await api.refused("deleteFinetune", id=running["finetune"]["id"])
    assert (error["code"], error["reason"]) == ("CONFLICT", "TRAINING_RUNNING")
    made = await trained_finetune(services, api, worker, "Other")
    deployed = await api.mutate(
        "createDeployment", "deployment { id }", projectId=made["project_id"], finetuneId=made["id"]
    )
    error = await api.refused("deleteFinetune", id=made["id"])
    assert (error["code"], error["reason"]) == ("CONFLICT", "FINETUNE_DEPLOYED")
    await api.mutate("deleteDeployment", "deletedId", id=deployed["deployment"]["id"])
    assert (await api.mutate("deleteFinetune", "deletedId", id=made["id"]))["deletedId"] == made["id"]
    assert (await api.gql("query($id: ID!) { finetune(id: $id) { id } }", id=made["id"]))["finetune"] is None
    await worker.drain()
    assert await services.storage.keys(f"finetunes/{made['id']}/") == []
    assert made["id"] in runtime.removed


async def test_a_replayed_creation_starts_no_second_training(api: Api, services: Services) -> None:
    project_id = await new_project(api)
    dataset_id = await new_dataset(services, api, project_id)
    first, second = [await create_finetune(api, project_id, dataset_id, idempotencyKey="k") for _ in range(2)]
    assert first == second
    input = {"projectId": project_id, "baseModelName": TINY, "trainingDatasetId": dataset_id}
    error = await api.refused("createFinetune", **input, seed=3, idempotencyKey="k")
    assert error["reason"] == "IDEMPOTENCY_KEY_REUSED"


async def test_an_archived_project_gets_no_fine_tune(api: Api, services: Services) -> None:
    project_id = await new_project(api)
    dataset_id = await new_dataset(services, api, project_id)
    await api.mutate("updateProject", "project { id }", id=project_id, status="ARCHIVED")
    input = {"projectId": project_id, "baseModelName": TINY, "trainingDatasetId": dataset_id}
    assert (await api.refused("createFinetune", **input))["reason"] == "PROJECT_ARCHIVED"


async def test_a_fine_tune_completes_a_prompt_without_a_deployment(
    api: Api, services: Services, worker: Worker, runtime: FakeRuntime
) -> None:
    made = await trained_finetune(services, api, worker)
    selection = "completion promptTokens completionTokens"
    payload = await api.mutate(
        "complete", selection, finetuneId=made["id"], prompt="hello you", temperature=0
    )
    assert payload | {"userErrors": []} == {
        "completion": "uoy olleh", "promptTokens": 2, "completionTokens": 1, "userErrors": [],
    }  # fmt: skip
    (model,) = runtime.loaded
    assert not isinstance(model, str)
    assert model.model_id == made["id"]


async def test_an_invalid_completion_is_refused_before_the_model_is_loaded(
    api: Api, services: Services
) -> None:
    made = await start(services, api)
    given = {"finetuneId": made["finetune"]["id"], "prompt": "hi"}
    assert (await api.refused("complete", **given))["reason"] == "NOT_READY"
    for wrong in ({"prompt": ""}, {"maxTokens": 0}, {"maxTokens": 4097}, {"temperature": 2.1}):
        error = await api.refused("complete", **(given | wrong))
        assert (error["code"], error["field"]) == ("INVALID", list(wrong))


async def test_recent_logs_are_the_last_lines_asked_for(api: Api, services: Services, worker: Worker) -> None:
    made = await trained_finetune(services, api, worker)
    assert (await fetch_finetune(api, made["id"], "recentLogs(lines: 1)"))["recentLogs"] == ["Published."]
    query = "query($id: ID!, $lines: Int!) { finetune(id: $id) { recentLogs(lines: $lines) } }"
    for lines in (0, 1001):
        body = await api.raw(query, id=made["id"], lines=lines)
        assert [error["extensions"]["code"] for error in body["errors"]] == ["BAD_USER_INPUT"]


async def test_another_users_fine_tune_is_not_found(api: Api, services: Services, worker: Worker) -> None:
    made = await trained_finetune(services, api, worker)
    query = "query($id: ID!) { finetune(id: $id) { id } node(id: $id) { id } }"
    theirs = await new_project(api.other)
    for id in (made["id"], NOWHERE, "garbage", ""):
        assert await api.other.gql(query, id=id) == {"finetune": None, "node": None}
        for name, given in (
            ("cancelFinetune", {"id": id}),
            ("deleteFinetune", {"id": id}),
            ("complete", {"finetuneId": id, "prompt": "hi"}),
            ("createDeployment", {"finetuneId": id, "projectId": theirs}),
        ):
            error = await api.other.refused(name, **given)
            assert (error["reason"], error["field"]) == ("FINETUNE_NOT_FOUND", [next(iter(given))])
    input = {"projectId": theirs, "baseModelName": TINY, "trainingDatasetId": made["dataset_id"]}
    assert (await api.other.refused("createFinetune", **input))["reason"] == "DATASET_NOT_FOUND"
    input["projectId"] = made["project_id"]
    assert (await api.other.refused("createFinetune", **input))["reason"] == "PROJECT_NOT_FOUND"
    assert (await api.other.gql("{ finetunes { totalCount } }"))["finetunes"]["totalCount"] == 0


async def test_fine_tunes_are_listed_over_every_project_and_by_status(
    api: Api, services: Services, worker: Worker
) -> None:
    done = await trained_finetune(services, api, worker, "one")
    planned = (await start(services, api))["finetune"]
    query = "query($status: RunStatus) { finetunes(status: $status) { nodes { id } } }"

    async def listed(**variables: Any) -> list[str]:
        return [node["id"] for node in (await api.gql(query, **variables))["finetunes"]["nodes"]]

    assert await listed() == [planned["id"], done["id"]]
    assert await listed(status="DONE") == [done["id"]]
    assert await listed(status="FAILED") == []


async def test_the_number_of_statements_does_not_depend_on_the_number_of_fine_tunes(
    api: Api, services: Services
) -> None:
    fields = RUN + " trainedItems(first: 2) { nodes { id } totalCount }"

    async def statements() -> int:
        with recorded_statements() as seen:
            await api.gql(f"{{ finetunes {{ nodes {{ {fields} }} }} }}")
        return len(seen)

    await start(services, api)
    one = await statements()
    for _ in range(3):
        await start(services, api)
    assert await statements() == one
