"""Lines and files that no dataset can learn from: each is named with its line, and nothing of it is trained on."""

import json
from typing import Any

import pytest

from tests.clients import Api
from tests.conftest import Worker
from tests.importing import (
    FORMAT_FILES as FILES,
)
from tests.importing import (
    QA,
    drain_queue,
    fetch_dataset,
    import_file,
    import_into_new,
    items,
    new_dataset_of,
    upload,
)
from tests.jobs import new_project

pytestmark = pytest.mark.anyio

GOOD = {"messages": [{"role": "user", "content": "Rye?"}, {"role": "assistant", "content": "3.20."}]}
PAIR = {
    "input": {"messages": [{"role": "user", "content": "Rye?"}]},
    "preferred_output": [{"role": "assistant", "content": "3.20."}],
    "non_preferred_output": [{"role": "assistant", "content": "What?"}],
}
CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
DEEP = "[" * 100_000 + "]" * 100_000


def chat(*messages: dict[str, Any], **further: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "Rye?"}, *messages], **further}


def calling(call: dict[str, Any], **further: Any) -> dict[str, Any]:
    return chat({"role": "assistant", "tool_calls": [call]}, **further)


@pytest.mark.parametrize(
    ("item_format", "first", "bad", "message"),
    [
        ("CONVERSATION", GOOD, chat({"role": "robot", "content": "Hi"}), "Message 2 (robot) has the"),
        (
            "CONVERSATION",
            GOOD,
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            "Message 1 (user)",
        ),
        ("CONVERSATION", GOOD, calling(CALL), "Message 2 (assistant)"),
        (
            "CONVERSATION",
            GOOD,
            calling(CALL | {"function": {"name": "look", "arguments": "{"}}, tools=[TOOL]),
            "Message 2 (assistant)",
        ),
        ("CONVERSATION", GOOD, chat(), "Message 1 (user) is the last"),
        (
            "CONVERSATION",
            GOOD,
            chat({"role": "assistant", "content": "Hi", "weight": 0}),
            "Message 2 (assistant) is not learned",
        ),
        (
            "CONVERSATION",
            GOOD,
            chat({"role": "assistant", "content": "Hi", "mood": "good"}),
            "Message 2 (assistant)",
        ),
        (
            "CONVERSATION",
            GOOD,
            chat(
                {"role": "tool", "tool_call_id": "call_9", "content": "x"},
                {"role": "assistant", "content": "Hi"},
            ),
            "Message 2 (tool)",
        ),
        ("CONVERSATION", GOOD, {"messages": "Hi"}, "`messages` is not a list"),
        ("CONVERSATION", GOOD, {"text": "Hi"}, "The line"),
        (
            "CONVERSATION",
            GOOD,
            PAIR,
            "The line is a preference pair; each item of the dataset is a conversation.",
        ),
        ("CONVERSATION", GOOD, GOOD | {"rejected": "x"}, "The line"),
        (
            "PREFERENCE",
            PAIR,
            GOOD,
            "The line is a conversation; each item of the dataset is a preference pair.",
        ),
        ("PREFERENCE", PAIR, PAIR | {"preferred_output": []}, "`preferred_output`"),
        (
            "PREFERENCE",
            {"prompt": "p", "chosen": "a", "rejected": "b"},
            {"chosen": "a", "rejected": "b"},
            "The line is preference data without a prompt",
        ),
        (
            "CONVERSATION",
            {"conversations": [{"from": "human", "value": "Rye?"}, {"from": "gpt", "value": "3.20."}]},
            {"conversations": [{"from": "alien", "value": "Rye?"}]},
            "Message 1 is from 'alien'",
        ),
    ],
)
async def test_a_line_that_cannot_be_learned_is_an_invalid_item_that_names_it(
    api: Api, worker: Worker, item_format: str, first: dict[str, Any], bad: dict[str, Any], message: str
) -> None:
    content = "\n".join(map(json.dumps, [first, first | {"id": 7}, bad]))
    done = await import_into_new(api, worker, item_format, content, "lines.jsonl")
    assert done["status"] == "DONE", done
    [item] = await items(api, done["id"], "problems { code message }", problem="CONVERSATION_INVALID")
    assert {problem["code"] for problem in item["problems"]} == {"CONVERSATION_INVALID"}
    assert item["problems"][0]["message"].startswith(f"Line 3: {message}"), item


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ('{"messages": [', "Line 2 is not JSON."),
        ("[]", "Line 2 is not a JSON object."),
        (f'{{"messages": {DEEP}}}', "Line 2: It is nested too deeply."),
        ('{"messages": [], "messages": []}', "Line 2: The key 'messages' is there twice."),
        ('{"messages": [{"role": "user", "content": "\\u0000"}]}', "Line 2 contains a NUL character."),
        (
            '{"messages": [{"role": "user", "content": "\\ud800"}]}',
            "Line 2 contains half of a surrogate pair.",
        ),
    ],
)
async def test_broken_json_in_the_middle_costs_its_line(
    api: Api, worker: Worker, bad: str, message: str
) -> None:
    lines = [json.dumps(GOOD), bad, json.dumps(chat({"role": "assistant", "content": "Yes."}))]
    done = await import_into_new(api, worker, "CONVERSATION", "\n".join(lines), "lines.jsonl")
    result = done["job"]["result"]
    assert (result["rows"], result["valid"], result["invalid"]) == (3, 2, 1)
    [item] = await items(api, done["id"], "values problems { code message }", isValid=False)
    assert item == {"values": ["", "", ""], "problems": [{"code": "JSON_INVALID", "message": message}]}


@pytest.mark.parametrize(
    ("name", "item_format", "wanted"),
    [
        ("openai-chat.jsonl", "PROMPT_COMPLETION", "CONVERSATION"),
        ("sharegpt.jsonl", "PREFERENCE", "CONVERSATION"),
        ("openai-preference.jsonl", "PROMPT_COMPLETION", "PREFERENCE"),
        ("trl-preference.jsonl", "CONVERSATION", "PREFERENCE"),
        ("alpaca.json", "PREFERENCE", "PROMPT_COMPLETION"),
        ("openai-completions.jsonl", "CONVERSATION", "PROMPT_COMPLETION"),
        ("messages.csv", "PROMPT_COMPLETION", "CONVERSATION"),
    ],
)
async def test_a_file_that_a_dataset_cannot_hold_is_refused_before_anything_is_imported(
    api: Api, worker: Worker, name: str, item_format: str, wanted: str
) -> None:
    fields = {} if item_format != "PROMPT_COMPLETION" else QA
    project_id = await new_project(api)
    document_id = await upload(api, project_id, (FILES / name).read_bytes(), name)
    waiting, ready = [
        await new_dataset_of(api, item_format, projectId=project_id, **fields) for _ in range(2)
    ]
    await api.mutate("importDataset", "job { id }", datasetId=waiting, documentId=document_id)
    await drain_queue(worker)
    failed = await fetch_dataset(api, waiting, "error job { status error } stats { total }")
    assert (failed["job"]["status"], failed["stats"]["total"]) == ("FAILED", 0)
    error = await api.refused("importDataset", datasetId=ready, documentId=document_id)
    assert (error["code"], error["reason"]) == ("INVALID", "ITEM_FORMAT_MISMATCH")
    assert error["message"] == failed["error"]
    assert error["message"].endswith(f"; create one with itemFormat: {wanted}.")
    assert error["context"]["itemFormat"] == wanted


async def test_a_column_of_conversations_is_no_prompt(api: Api, worker: Worker) -> None:
    line = {"dialogue": GOOD["messages"], "topic": "bread"}
    named = {"inputField": "dialogue", "outputField": "topic", "fieldNames": ["dialogue", "topic"]}
    dataset_id = await new_dataset_of(api, "PROMPT_COMPLETION", **named)
    for options in ({}, {"format": "JSONL"}, {"columns": {"topic": "topic"}}):
        done = await import_file(api, worker, dataset_id, json.dumps(line) + "\n", "x.jsonl", **options)
        assert (done["job"]["status"], await items(api, dataset_id)) == ("FAILED", [])
        assert done["job"]["error"].startswith("The column 'dialogue' has conversations.")


async def test_a_file_that_is_not_in_the_requested_format_is_refused(api: Api, worker: Worker) -> None:
    content = (FILES / "sharegpt.jsonl").read_bytes()
    done = await import_into_new(api, worker, "CONVERSATION", content, "chats.jsonl", format="ALPACA")
    assert (done["job"]["status"], await items(api, done["id"])) == ("FAILED", [])
    assert done["job"]["error"].startswith("The file is not in the format ALPACA. Line 1: ")


async def test_a_table_without_conversations_is_none_of_them(api: Api, worker: Worker) -> None:
    done = await import_into_new(api, worker, "CONVERSATION", "question,answer\na,b\n", "table.csv")
    assert done["job"]["error"].endswith("; create one with itemFormat: PROMPT_COMPLETION.")
    columns = {"messages": "question"}
    done = await import_into_new(
        api, worker, "CONVERSATION", "question,answer\na,b\n", "table.csv", columns=columns
    )
    [item] = await items(api, done["id"], "problems { code message }")
    assert item["problems"] == [
        {"code": "CONVERSATION_INVALID", "message": "Line 2: The field 'messages' is not JSON."}
    ]


async def test_lines_of_a_format_have_no_columns(api: Api) -> None:
    dataset_id = await new_dataset_of(api, "CONVERSATION")
    project = (await fetch_dataset(api, dataset_id, "project { id }"))["project"]["id"]
    document_id = await upload(api, project, (FILES / "sharegpt.jsonl").read_bytes(), "chats.jsonl")
    input = {"datasetId": dataset_id, "documentId": document_id, "columns": {"messages": "conversations"}}
    error = await api.refused("importDataset", **input, format="SHAREGPT")
    assert (error["reason"], error["field"]) == ("INVALID_COLUMNS", ["columns"])


async def test_a_value_may_not_be_longer_than_another(api: Api, worker: Worker) -> None:
    long = chat({"role": "assistant", "content": "x" * 1_000_000})
    content = "\n".join(map(json.dumps, [GOOD, long]))
    done = await import_into_new(api, worker, "CONVERSATION", content, "chats.jsonl")
    [item] = await items(api, done["id"], "problems { code message }", isValid=False)
    assert item["problems"] == [
        {"code": "JSON_INVALID", "message": "A value on line 2 has more than 1,000,000 characters."}
    ]
