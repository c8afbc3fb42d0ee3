"""`luthier tune` against a server whose trainer needs no torch."""

import asyncio
import json
import os
import shlex
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app.cli.table_steps import TuneOptions, columns_of
from app.program import PROGRAM
from domain.finetunes import ParityReport
from domain.job_events import LogLine, Metric
from domain.ports.trainer import ItemsPrepared
from domain.training_points import TrainingPoint
from tests.clients import Api
from tests.conftest import Worker
from tests.fakes.trainer import AT, FakeTrainer
from tests.importing import CAPITALS, FORMAT_FILES

FILE = Path("table.csv")
LEFT_OUT = "2 training items were left out: their prompt alone fills 2048 tokens."
COUNTS = "{ finetunes(first: 1) { nodes { id status } } deployments(first: 1) { totalCount } }"


@dataclass
class Finished:
    """A `luthier tune` that ended."""

    exit_code: int
    output: str
    errors: str


Tune = Callable[..., Awaitable[Finished]]
Start = Callable[..., Awaitable[asyncio.subprocess.Process]]


@pytest.fixture
async def start(live: str, api: Api, worker: Worker, tmp_path: Path) -> AsyncIterator[Start]:
    """Starts `luthier tune` on a file, three rows by default, in a process of its own, while a worker runs its jobs."""
    (tmp_path / "up.json").write_text(json.dumps({"url": live}))
    environment = os.environ | {"LUTHIER_HOME": str(tmp_path), "LUTHIER_TOKEN": api.token}

    async def run(
        *options: str, table: bytes = CAPITALS.encode(), name: str = "capitals.csv"
    ) -> asyncio.subprocess.Process:
        (tmp_path / name).write_bytes(table)
        return await asyncio.create_subprocess_exec(
            *PROGRAM, "tune", str(tmp_path / name), *options,
            env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip

    working = asyncio.create_task(
        worker.queue.run_worker_async(install_signal_handlers=False, fetch_job_polling_interval=0.1)
    )
    yield run
    working.cancel()
    with suppress(asyncio.CancelledError):
        await working


@pytest.fixture
def tune(start: Start) -> Tune:
    """Runs `luthier tune` to its end."""

    async def run(*options: str, **file: Any) -> Finished:
        return await end(await start(*options, **file))

    return run


async def end(process: asyncio.subprocess.Process) -> Finished:
    output, errors = await process.communicate()
    return Finished(process.returncode or 0, output.decode(), errors.decode())


def losses(*values: float) -> list[Metric]:
    """A step and an evaluation in each epoch."""
    points = [
        point
        for epoch, value in enumerate(values, 1)
        for point in (
            TrainingPoint(step=2 * epoch, epoch=epoch, train_loss=1 / epoch, at=AT),
            TrainingPoint(step=2 * epoch, epoch=epoch, eval_loss=value, at=AT),
        )
    ]
    return [Metric(point, total_steps=2 * len(values)) for point in points]


def parity(
    *, token_ids_match: bool = True, outputs_matching: int = 0, detail: str | None = None
) -> ParityReport:
    return ParityReport(
        passed=False,
        prompts_compared=3,
        template_matches=True,
        token_ids_match=token_ids_match,
        outputs_matching=outputs_matching,
        detail=detail,
    )


@pytest.mark.anyio
async def test_every_warning_is_printed_once_and_what_was_trained_is_counted(
    tune: Tune, trainer: FakeTrainer
) -> None:
    prepared = ItemsPrepared(trained_item_count=1, warnings=(LEFT_OUT,))
    trainer.messages = [prepared, LogLine("one"), LogLine("two"), *losses(0.5, 0.4)]
    trainer.result = {"warnings": ("It came up [later].",)}
    finished = await tune()
    assert finished.exit_code == 0, finished.errors
    lines = [line.strip() for line in finished.output.splitlines()]
    printed = [line for line in lines if line.startswith("warning:")]
    assert printed == [f"warning: {LEFT_OUT}", "warning: It came up [later]."]
    assert "1 item trained" in lines
    assert "parity passed: the GGUF gives 1 of 1 answers to the letter" in lines


@pytest.mark.anyio
async def test_the_rewards_of_the_last_step_are_printed(tune: Tune, trainer: FakeTrainer) -> None:
    points = [
        TrainingPoint(
            step=step, epoch=step, train_loss=0.5, reward_margin=step, reward_accuracy=0.5 * step, at=AT
        )
        for step in (1, 2)
    ]
    trainer.messages = [Metric(point, total_steps=2) for point in points]
    finished = await tune()
    assert finished.exit_code == 0, finished.errors
    printed = "reward margin 2 in the last step, whose preferred answer is ahead in 100% of the pairs"
    assert printed in " ".join(finished.output.split())
    assert "reward margin 1" not in finished.output


@pytest.mark.anyio
async def test_a_warning_is_printed_before_the_first_step(start: Start, trainer: FakeTrainer) -> None:
    trainer.messages = [ItemsPrepared(trained_item_count=0, warnings=(LEFT_OUT,))]
    trainer.error = "No item can be trained on."
    trainer.may_end.clear()
    process = await start()
    assert process.stdout
    while LEFT_OUT not in (line := (await process.stdout.readline()).decode()):
        assert line, await end(process)
    trainer.may_end.set()
    finished = await end(process)
    assert (finished.exit_code, finished.errors) == (
        1,
        "Training of luthier/tiny, GGUF failed: No item can be trained on.\n",
    )
    assert LEFT_OUT not in finished.output


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("report", "difference"),
    [
        (
            parity(token_ids_match=False, detail="1 of 3 token ids differ"),
            "its token ids and in 3 of 3 answers. 1 of 3 token ids differ. Nothing was",
        ),
        (parity(outputs_matching=2), "1 of 3 answers. Nothing was"),
    ],
)
async def test_a_model_that_fails_parity_is_not_deployed_and_the_exit_code_says_so(
    tune: Tune, trainer: FakeTrainer, api: Api, report: ParityReport, difference: str
) -> None:
    trainer.result = {"parity": report}
    finished = await tune()
    found = await api.gql(COUNTS)
    (finetune,) = found["finetunes"]["nodes"]
    assert finished.exit_code == 1
    assert finished.errors.startswith(
        f"Parity failed: the GGUF differs from the fine-tuned model in {difference}"
    )
    assert finished.errors.endswith(
        f"Nothing was deployed; this is {finetune['id']}. To deploy the model nevertheless, call `createDeployment` "
        "with that id, or train anew with --deploy-anyway.\n"
    )
    assert (finetune["status"], found["deployments"]["totalCount"]) == ("DONE", 0)
    assert "base URL" not in finished.output


@pytest.mark.anyio
async def test_a_model_that_fails_parity_is_deployed_when_that_is_asked_for(
    tune: Tune, trainer: FakeTrainer, api: Api
) -> None:
    trainer.result = {"parity": parity(outputs_matching=2)}
    finished = await tune("--deploy-anyway")
    assert finished.exit_code == 0, finished.errors
    assert "Parity failed: the GGUF differs from the fine-tuned model in 1 of 3 answers." in finished.output
    assert "base URL" in finished.output
    assert (await api.gql(COUNTS))["deployments"]["totalCount"] == 1


@pytest.mark.anyio
async def test_an_evaluation_loss_that_rises_is_said_with_the_epoch_of_the_lowest(
    tune: Tune, trainer: FakeTrainer
) -> None:
    trainer.messages = [ItemsPrepared(trained_item_count=3), *losses(0.5, 0.25, 0.75, 0.625)]
    finished = await tune()
    assert finished.exit_code == 0, finished.errors
    assert (
        "The evaluation loss rises: it was lowest at epoch 2 with 0.25, and ended at 0.625."
        in finished.output
    )
    assert "train it for fewer epochs (--epochs 2)." in finished.output


HYPERPARAMETERS = "{ finetunes(first: 1) { nodes { hyperparameters { numEpochs learningRate gradientAccumulationSteps } } } }"


@pytest.mark.anyio
@pytest.mark.parametrize(("rows", "accumulated"), [(320, 1), (321, 4)])
async def test_a_small_file_has_an_optimizer_step_for_each_batch(
    tune: Tune, api: Api, rows: int, accumulated: int
) -> None:
    table = "question,answer\n" + "".join(f"question {row},answer {row}\n" for row in range(rows))
    await tune(
        "--base", "Qwen/Qwen2.5-0.5B", "--epochs", "5", "--learning-rate", "0.001", table=table.encode()
    )  # the training fails, as the weights are on no hub here
    (finetune,) = (await api.gql(HYPERPARAMETERS))["finetunes"]["nodes"]
    assert finetune["hyperparameters"] == {
        "numEpochs": 5.0, "learningRate": 0.001, "gradientAccumulationSteps": accumulated,
    }  # fmt: skip


ITALIAN = "domanda,risposta\nC'è tempo?,Il caffè è pronto.\nPerché no?,Più tardi.\n".encode("cp1252")
ITEMS = "{ datasets(first: 1) { nodes { fieldNames items(first: 9) { nodes { values isValid } } } } }"


@pytest.mark.anyio
async def test_a_doubtful_encoding_is_printed_with_its_readings_and_nothing_is_left(
    tune: Tune, api: Api
) -> None:
    finished = await tune(table=ITALIAN)
    assert finished.exit_code == 1
    assert "name the one that reads this line rightly with --encoding.\n" in finished.errors
    assert "  cp1252       Perché no?,Più tardi.\n" in finished.errors
    assert "  cp1250       Perché no?,Piů tardi.\n" in finished.errors
    assert (await api.gql("{ projects(first: 1) { totalCount } }"))["projects"]["totalCount"] == 0


@pytest.mark.anyio
async def test_a_named_encoding_is_that_of_the_file(tune: Tune, api: Api) -> None:
    finished = await tune("--encoding", "windows-1252", table=ITALIAN)
    assert finished.exit_code == 0, finished.errors
    [dataset] = (await api.gql(ITEMS))["datasets"]["nodes"]
    assert [item["values"] for item in dataset["items"]["nodes"]] == [
        ["C'è tempo?", "Il caffè è pronto."],
        ["Perché no?", "Più tardi."],
    ]


@pytest.mark.anyio
async def test_two_of_many_columns_are_taken_whatever_the_others_are(tune: Tune, api: Api) -> None:
    names = ["", "q", "y" * 120, *["x"] * 70]
    table = ",".join(names) + "\n" + ",".join(["0", "who?", "me", *["-"] * 70]) + "\n"
    finished = await tune("--input", "Q", "--output", "y" * 120, table=table.encode())
    assert finished.exit_code == 0, finished.errors
    [dataset] = (await api.gql(ITEMS))["datasets"]["nodes"]
    assert dataset["fieldNames"] == ["input", "output"]
    assert dataset["items"]["nodes"] == [{"values": ["who?", "me"], "isValid": True}]


@pytest.mark.anyio
async def test_rows_with_a_warning_are_counted_and_trained_on(tune: Tune) -> None:
    finished = await tune(table=b"text,label\nitem 1,yes\nitem 1,no\n")
    assert finished.exit_code == 0, finished.errors
    assert "2 of 2 rows are valid" in finished.output
    assert "warning: rows that have the input of another row, and another output: 2" in finished.output


def format_file(name: str) -> dict[str, Any]:
    return {"table": (FORMAT_FILES / name).read_bytes(), "name": name}


def example_of(output: str) -> dict[str, Any]:
    """The body of the request that is printed at the end."""
    body: dict[str, Any] = json.loads(
        shlex.split(output.strip().splitlines()[-3 if "Stopped" in output else -1])[-1]
    )
    return body


CREATED = """{ datasets(first: 1) { nodes { itemFormat systemPrompt fieldNames stats { valid } } }
  finetunes(first: 1) { nodes { objective } } }"""


@pytest.mark.anyio
async def test_chats_become_conversations_and_the_example_asks_one(tune: Tune, api: Api) -> None:
    finished = await tune("--system", "You are Lotte.", **format_file("openai-chat.jsonl"))
    assert finished.exit_code == 0, finished.errors
    assert "3 of 3 conversations are valid" in finished.output
    assert "keys that were left out, with the number of lines: id (1), source (1)" in finished.output
    created = await api.gql(CREATED)
    assert created == {
        "datasets": {
            "nodes": [
                {
                    "itemFormat": "CONVERSATION",
                    "systemPrompt": "You are Lotte.",
                    "fieldNames": ["messages", "tools", "parallel_tool_calls"],
                    "stats": {"valid": 3},
                }
            ]
        },
        "finetunes": {"nodes": [{"objective": "SFT"}]},
    }
    assert example_of(finished.output)["messages"] == [
        {"role": "developer", "content": [{"type": "text", "text": "Answer in German."}]},
        {"role": "user", "content": "Thanks!", "name": "Ines"},
    ]


@pytest.mark.anyio
async def test_the_example_has_the_tools_of_its_conversation(tune: Tune) -> None:
    finished = await tune(**format_file("sharegpt-tools.json"))
    assert finished.exit_code == 0, finished.errors
    request = example_of(finished.output)
    assert request["messages"] == [{"role": "user", "content": "Tell me a joke."}]
    assert [tool["function"]["name"] for tool in request["tools"]] == ["get_weather"]


@pytest.mark.anyio
async def test_preference_pairs_are_trained_on_with_dpo(tune: Tune, api: Api) -> None:
    finished = await tune(**format_file("trl-preference.jsonl"))
    assert finished.exit_code == 0, finished.errors
    assert "2 of 2 preference pairs are valid" in finished.output
    created = await api.gql(CREATED)
    assert created["datasets"]["nodes"][0]["itemFormat"] == "PREFERENCE"
    assert created["finetunes"]["nodes"] == [{"objective": "DPO"}]
    assert [message["content"] for message in example_of(finished.output)["messages"]] == [
        "Rye?",
        "3.20.",
        "And wheat?",
    ]


@pytest.mark.anyio
async def test_alpacas_input_is_asked_below_its_instruction(tune: Tune, api: Api) -> None:
    finished = await tune(**format_file("alpaca.csv"))
    assert finished.exit_code == 0, finished.errors
    [dataset] = (await api.gql(ITEMS))["datasets"]["nodes"]
    assert dataset["items"]["nodes"][0]["values"] == ["Classify the sentence.\nThe bread is fresh.", "good"]


@pytest.mark.anyio
async def test_columns_of_a_file_of_conversations_are_refused(tune: Tune, api: Api) -> None:
    finished = await tune("--input", "messages", "--output", "id", **format_file("sharegpt.jsonl"))
    assert finished.exit_code == 1
    assert finished.errors == (
        "Dataset failed: --input and --output name columns of a table, but the file has conversations; leave both out.\n"
    )
    assert (await api.gql("{ projects(first: 1) { totalCount } }"))["projects"]["totalCount"] == 0


@pytest.mark.anyio
async def test_what_is_wrong_with_a_conversation_is_printed_with_its_line(tune: Tune) -> None:
    good = (FORMAT_FILES / "openai-chat.jsonl").read_text()
    bad = '{"messages": [{"role": "robot", "content": "x"}]}\n{"conversations": []}\n'
    special = (
        '{"messages": [{"role": "user", "content": "<|im_end|>"}, {"role": "assistant", "content": "x"}]}\n'
    )
    finished = await tune(table=(good + bad + special).encode(), name="chats.jsonl")
    assert finished.exit_code == 0, finished.errors
    assert "4 of 6 conversations are valid" in finished.output
    assert (
        "conversations that spell a control token of chat templates, which is learned as text: 1"
        in finished.output
    )
    assert "invalid: Line 4: Message 1 (robot) has " in finished.output
    assert "invalid: Line 5: The line has none of `messages`" in finished.output


def test_of_two_columns_the_first_is_asked_and_the_second_is_learned() -> None:
    assert columns_of(["question", "answer"], TuneOptions(file=FILE)) == ("question", "answer")


@pytest.mark.parametrize(
    ("named", "found"), [("Frage", "Frage"), ("frage", "Frage"), ("FRAGE", "Frage"), ("antwort", "antwort")]
)
def test_a_column_is_found_whatever_its_case(named: str, found: str) -> None:
    headers = ["Frage", "antwort", "Antwort", "Quelle"]
    assert columns_of(headers, TuneOptions(file=FILE, input=named, output="Quelle")) == (found, "Quelle")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (TuneOptions(file=FILE), "say --input and --output; the columns are a, b, B."),
        (TuneOptions(file=FILE, input="a"), "say --input and --output; the columns are a, b, B."),
        (TuneOptions(file=FILE, input="a", output="c"), "there is no column 'c'; the columns are a, b, B."),
    ],
)
def test_a_missing_column_is_an_error_with_thecolumns_of(options: TuneOptions, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        columns_of(["a", "b", "B"], options)
