"""Files of conversations and preference pairs as people bring them: what their lines become as items."""

import json
from typing import Any

import pytest

from tests.clients import Api
from tests.conftest import Worker
from tests.importing import (
    FORMAT_FILES as FILES,
)
from tests.importing import (
    drain_queue,
    fetch_dataset,
    import_file,
    import_into_new,
    import_result,
    item_values,
    items,
    new_dataset_of,
    upload,
)
from tests.jobs import new_project

pytestmark = pytest.mark.anyio

MESSAGE = "role content contentParts name toolCalls { id name arguments } toolCallId weight"
CONVERSATION = f"messages {{ {MESSAGE} }} tools parallelToolCalls"
ITEM = f"""isValid problems {{ code message isWarning }} conversation {{ {CONVERSATION} }}
  preference {{ input {{ {CONVERSATION} }} preferred {{ {MESSAGE} }} nonPreferred {{ {MESSAGE} }} }}"""


async def imported_file(
    api: Api, worker: Worker, item_format: str, name: str, **options: Any
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The result of the import of a file into a new dataset, and the items as lines of OpenAI's format."""
    done = await import_into_new(api, worker, item_format, (FILES / name).read_bytes(), name, **options)
    assert done["status"] == "DONE", done
    return done["job"]["result"], list(map(as_line, await items(api, done["id"], ITEM)))


def as_line(item: dict[str, Any]) -> dict[str, Any]:
    """A valid item as a line in OpenAI's format, without what is null."""
    assert item["isValid"], item["problems"]
    if item["conversation"] is not None:
        return as_conversation(item["conversation"])
    pair = item["preference"]
    return {
        "input": as_conversation(pair["input"]),
        "preferred_output": [as_message(pair["preferred"])],
        "non_preferred_output": [as_message(pair["nonPreferred"])],
    }


def as_conversation(conversation: dict[str, Any]) -> dict[str, Any]:
    found = {
        "messages": list(map(as_message, conversation["messages"])),
        "tools": conversation["tools"],
        "parallel_tool_calls": conversation["parallelToolCalls"],
    }
    return without_nulls(found)


def as_message(message: dict[str, Any]) -> dict[str, Any]:
    calls = [
        {
            "id": call["id"],
            "type": "function",
            "function": {"name": call["name"], "arguments": call["arguments"]},
        }
        for call in message["toolCalls"]
    ]
    found = {
        "role": message["role"].lower(),
        "content": message["content"] if message["contentParts"] is None else message["contentParts"],
        "name": message["name"],
        "tool_calls": calls or None,
        "tool_call_id": message["toolCallId"],
        "weight": message["weight"],
    }
    return without_nulls(found)


def without_nulls(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def lines_of(name: str) -> list[dict[str, Any]]:
    """The lines of a file in OpenAI's format as items have them: by the newer names, without nulls and further keys."""
    known = {"messages", "tools", "parallel_tool_calls", "input", "preferred_output", "non_preferred_output"}
    text = (FILES / name).read_text().replace("_completion", "_output")
    hook = without_nulls
    return [
        {key: value for key, value in json.loads(line, object_hook=hook).items() if key in known}
        for line in text.splitlines()
    ]


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: str, **further: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": text, **further}


def system(text: str) -> dict[str, Any]:
    return {"role": "system", "content": text}


def chat(*messages: dict[str, Any], **further: Any) -> dict[str, Any]:
    return {"messages": list(messages), **further}


def pair(asked: dict[str, Any], better: str, worse: str) -> dict[str, Any]:
    return {
        "input": asked,
        "preferred_output": [assistant(better)],
        "non_preferred_output": [assistant(worse)],
    }


def calling(name: str, arguments: str, id: str = "call_1") -> dict[str, Any]:
    call = {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
    return {"role": "assistant", "tool_calls": [call]}


LOTTE = system("You are Lotte of the Krüger bakery. Be brief.")
WEATHER = json.loads((FILES / "openai-tools.jsonl").read_text().splitlines()[0])["tools"]
DELIVERY = "Yes, from 20 € on."


@pytest.mark.parametrize(
    ("name", "format", "item_format", "expected"),
    [
        ("openai-chat.jsonl", "OPENAI", "CONVERSATION", lines_of("openai-chat.jsonl")),
        ("openai-tools.jsonl", "OPENAI", "CONVERSATION", lines_of("openai-tools.jsonl")),
        ("openai-preference.jsonl", "OPENAI", "PREFERENCE", lines_of("openai-preference.jsonl")),
        (
            "alpaca-system-history.json",
            "ALPACA",
            "CONVERSATION",
            [
                chat(
                    system("You know the world."),
                    user("Capital of Peru?"),
                    assistant("Lima."),
                    user("On which river?"),
                    assistant("The Rímac."),
                    user("And its population?"),
                    assistant("About 10 million."),
                ),
                chat(user("Translate to German.\nbread"), assistant("Brot")),
            ],
        ),
        (
            "alpaca-ranking.json",
            "ALPACA",
            "PREFERENCE",
            [
                pair(chat(user("Classify the sentence.\nThe bread is fresh.")), "good", "bad"),
                pair(chat(user("Name a colour.")), "Blue.", "Dog."),
            ],
        ),
        (
            "sharegpt.jsonl",
            "SHAREGPT",
            "CONVERSATION",
            [
                chat(
                    LOTTE,
                    user("Are you open on May 1?"),
                    assistant("Yes, from 6 to 18."),
                    user("And on Sundays?"),
                    assistant("From 7 to 11."),
                ),
                chat(user("Rye bread?"), assistant("3.20 a loaf.")),
            ],
        ),
        (
            "sharegpt-tools.json",
            "SHAREGPT",
            "CONVERSATION",
            [
                chat(
                    system("You know the weather."),
                    user("Weather in Rome?"),
                    calling("get_weather", '{"city": "Rome"}'),
                    {"role": "tool", "tool_call_id": "call_1", "content": '{"t": 24}'},
                    assistant("24 °C."),
                    tools=WEATHER,
                ),
                chat(user("Tell me a joke."), assistant("I only know the weather."), tools=WEATHER),
            ],
        ),
        (
            "sharegpt-ranking.json",
            "SHAREGPT",
            "PREFERENCE",
            [
                pair(chat(user("Do you deliver?")), DELIVERY, "No idea."),
                pair(chat(user("Rye?"), assistant("3.20."), user("And wheat?")), "2.80.", "What?"),
            ],
        ),
        (
            "trl-prompt-completion.jsonl",
            "TRL",
            "CONVERSATION",
            [
                chat(LOTTE, user("Do you deliver?"), assistant(DELIVERY)),
                chat(user("Rye?"), assistant("3.20.", weight=0), user("And wheat?"), assistant("2.80.")),
            ],
        ),
        (
            "trl-preference.jsonl",
            "TRL",
            "PREFERENCE",
            [
                pair(chat(LOTTE, user("Do you deliver?")), DELIVERY, "No idea."),
                pair(chat(user("Rye?"), assistant("3.20."), user("And wheat?")), "2.80.", "What?"),
            ],
        ),
        (
            "trl-preference-text.jsonl",
            "TRL",
            "PREFERENCE",
            [
                pair(chat(user("Do you deliver?")), DELIVERY, "No idea."),
                pair(chat(user("Rye?")), "3.20.", "What?"),
            ],
        ),
        (
            "trl-preference-implicit.jsonl",
            "TRL",
            "PREFERENCE",
            [
                pair(chat(user("Do you deliver?")), DELIVERY, "No idea."),
                pair(chat(LOTTE, user("Rye?")), "3.20.", "What?"),
            ],
        ),
        (
            "messages.csv",
            "CSV",
            "CONVERSATION",
            [
                chat(LOTTE, user("Rye?"), assistant("3.20.")),
                chat(user("Weather in Rome?"), calling("get_weather", '{"city": "Rome"}'), tools=WEATHER),
            ],
        ),
        (
            "preferences.csv",
            "CSV",
            "PREFERENCE",
            [
                pair(chat(user("Rye?")), "3.20.", "What?"),
                pair(chat(user("Wheat?")), "2.80.", "Hm?"),
            ],
        ),
    ],
)
async def test_a_file_becomes_conversations_or_pairs(
    api: Api, worker: Worker, name: str, format: str, item_format: str, expected: list[dict[str, Any]]
) -> None:
    result, found = await imported_file(api, worker, item_format, name)
    assert found == expected
    assert (result["format"], result["item_format"], result["invalid"]) == (format, item_format, 0)


@pytest.mark.parametrize("name", ["alpaca.json", "alpaca.csv"])
async def test_alpacas_instruction_and_input_are_asked_together(api: Api, worker: Worker, name: str) -> None:
    _, found = await imported_file(api, worker, "CONVERSATION", name)
    assert [line["messages"][0]["content"] for line in found] == [
        "Classify the sentence.\nThe bread is fresh.",
        "Classify the sentence.\nThe bread is stale.",
        "Name a colour.",
    ]


async def test_further_keys_are_left_out_and_named_in_the_result(api: Api, worker: Worker) -> None:
    result, _ = await imported_file(api, worker, "CONVERSATION", "openai-chat.jsonl")
    assert result == import_result(
        3,
        valid=3,
        format="OPENAI",
        item_format="CONVERSATION",
        ignored=[{"name": "id", "lines": 1}, {"name": "source", "lines": 1}],
    )


async def test_of_many_further_keys_a_hundred_are_named(api: Api, worker: Worker) -> None:
    lines = [
        chat(user(f"{number}?"), assistant("Yes.")) | {f"k{number * 100 + key:03}": 1 for key in range(100)}
        for number in range(3)
    ]
    done = await import_into_new(
        api, worker, "CONVERSATION", "\n".join(map(json.dumps, lines)), "chats.jsonl"
    )
    names = [key["name"] for key in done["job"]["result"]["ignored"]]
    assert names == [f"k{number:03}" for number in range(100)]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("is_array", [True, False])
async def test_objects_may_stand_in_an_array_or_over_several_lines(
    api: Api, worker: Worker, *, is_array: bool, indent: int | None
) -> None:
    lines = lines_of("openai-tools.jsonl")
    texts = [json.dumps(line, indent=indent) for line in lines]
    content = f"[{', '.join(texts)}]" if is_array else "\n".join(texts)
    done = await import_into_new(api, worker, "CONVERSATION", content, "chats.json")
    assert list(map(as_line, await items(api, done["id"], ITEM))) == lines


async def test_a_document_imported_again_in_the_same_way_adds_nothing(api: Api, worker: Worker) -> None:
    content = (FILES / "openai-chat.jsonl").read_bytes()
    done = await import_into_new(api, worker, "CONVERSATION", content, "chats.jsonl")
    before = await items(api, done["id"])
    dataset = await fetch_dataset(api, done["id"], "documents { nodes { id } }")
    input = {"datasetId": done["id"], "documentId": dataset["documents"]["nodes"][0]["id"]}
    for options in ({}, {"format": "OPENAI"}, {"encoding": "utf-8"}):
        await api.mutate("importDataset", "job { id }", **input, **options)
        await drain_queue(worker)
        assert await items(api, done["id"]) == before


async def imported_pairs(
    api: Api, worker: Worker, name: str, fields: list[str], **options: Any
) -> tuple[dict[str, Any], list[list[str]]]:
    """The dataset after a file was imported into fields, the first asked and the last learned; and its values."""
    named = {"inputField": fields[0], "outputField": fields[-1], "fieldNames": fields}
    dataset_id = await new_dataset_of(api, "PROMPT_COMPLETION", **named)
    done = await import_file(api, worker, dataset_id, (FILES / name).read_bytes(), name, **options)
    return done, list(await item_values(api, dataset_id))


FRESH, STALE = "The bread is fresh.", "The bread is stale."
ASKED = "Classify the sentence."


@pytest.mark.parametrize("name", ["alpaca.json", "alpaca.csv"])
@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            ["instruction", "input", "output"],
            [
                [f"{ASKED}\n{FRESH}", FRESH, "good"],
                [f"{ASKED}\n{STALE}", STALE, "bad"],
                ["Name a colour.", "", "Blue."],
            ],
        ),
        (
            ["prompt", "answer"],
            [[f"{ASKED}\n{FRESH}", "good"], [f"{ASKED}\n{STALE}", "bad"], ["Name a colour.", "Blue."]],
        ),
    ],
)
async def test_alpacas_lines_are_prompts_with_their_completions(
    api: Api, worker: Worker, name: str, fields: list[str], expected: list[list[str]]
) -> None:
    done, values = await imported_pairs(api, worker, name, fields)
    assert values == expected, done
    result = done["job"]["result"]
    assert (result["format"], result["item_format"], result["valid"]) == ("ALPACA", "PROMPT_COMPLETION", 3)


@pytest.mark.parametrize(
    "options", [{"format": "CSV"}, {"columns": {"output": "output"}}, {"columns": {"instruction": "input"}}]
)
async def test_alpacas_columns_are_a_plain_table_where_that_is_asked_for(
    api: Api, worker: Worker, options: dict[str, Any]
) -> None:
    done, values = await imported_pairs(api, worker, "alpaca.csv", ["instruction", "output"], **options)
    asked = FRESH if "instruction" in options.get("columns", {}) else ASKED
    assert values[0] == [asked, "good"], done
    assert done["job"]["result"]["format"] == "CSV"


async def test_a_line_with_more_than_a_pair_is_refused_by_name(api: Api, worker: Worker) -> None:
    done, values = await imported_pairs(api, worker, "alpaca-system-history.json", ["instruction", "output"])
    assert values == [["", ""], ["Translate to German.\nbread", "Brot"]], done
    [item] = await items(api, done["id"], "problems { code message }", isValid=False)
    assert item["problems"] == [
        {
            "code": "CONVERSATION_INVALID",
            "message": "Line 2: The line has `system`, which a pair of prompt and completion cannot hold; create the "
            "dataset with itemFormat: CONVERSATION.",
        }
    ]


@pytest.mark.parametrize("fields", [["output", "instruction"], ["instruction", "source"]])
async def test_fields_that_contradict_alpacas_format_are_refused(
    api: Api, worker: Worker, fields: list[str]
) -> None:
    content = '{"instruction": "i", "input": "x", "output": "o", "source": "s"}\n'
    named = {"inputField": fields[0], "outputField": fields[-1], "fieldNames": fields}
    dataset_id = await new_dataset_of(api, "PROMPT_COMPLETION", **named)
    done = await import_file(api, worker, dataset_id, content, "lines.jsonl")
    assert done["job"]["status"] == "FAILED"
    assert "Name the `columns`, so that the file is read as a plain table." in done["job"]["error"]
    done = await import_file(api, worker, dataset_id, content, "lines.jsonl", format="JSONL")
    assert done["job"]["result"]["valid"] == 1


async def test_completion_lines_are_a_plain_table_or_openais(api: Api, worker: Worker) -> None:
    name = "openai-completions.jsonl"
    expected = [["Capital of France?", "Paris"], ["Capital of Peru?", "Lima"]]
    done, values = await imported_pairs(api, worker, name, ["prompt", "completion"])
    assert (values, done["job"]["result"]["format"]) == (expected, "JSONL")
    done, values = await imported_pairs(api, worker, name, ["q", "a"], format="OPENAI")
    assert (values, done["job"]["result"]["format"]) == (expected, "OPENAI")
    _, found = await imported_file(api, worker, "CONVERSATION", name, format="OPENAI")
    assert found == [chat(user(question), assistant(answer)) for question, answer in expected]


async def test_chats_of_a_question_and_an_answer_are_pairs_where_their_format_is_named(
    api: Api, worker: Worker
) -> None:
    done, values = await imported_pairs(api, worker, "sharegpt.jsonl", ["q", "a"], format="SHAREGPT")
    assert values == [["", ""], ["Rye bread?", "3.20 a loaf."]], done
    [item] = await items(api, done["id"], "problems { code message }", isValid=False)
    assert item["problems"] == [
        {
            "code": "CONVERSATION_INVALID",
            "message": "Line 1: The line is a conversation; each item of the dataset is a prompt with its completion.",
        }
    ]
    done, _ = await imported_pairs(api, worker, "sharegpt-tools.json", ["q", "a"], format="SHAREGPT")
    assert done["job"]["error"].endswith("; create one with itemFormat: CONVERSATION.")


async def test_columns_of_conversations_may_have_other_names(api: Api, worker: Worker) -> None:
    content = (FILES / "messages.csv").read_text().replace("id,messages,tools", "id,chat,functions")
    columns = {"messages": "chat", "tools": "functions"}
    done = await import_into_new(api, worker, "CONVERSATION", content, "chats.csv", columns=columns)
    found = list(map(as_line, await items(api, done["id"], ITEM)))
    assert found[1] == chat(
        user("Weather in Rome?"), calling("get_weather", '{"city": "Rome"}'), tools=WEATHER
    )


async def test_rows_of_json_may_have_conversations_as_texts(api: Api, worker: Worker) -> None:
    line = {"messages": json.dumps([user("Rye?"), assistant("3.20.")]), "parallel_tool_calls": None}
    done = await import_into_new(api, worker, "CONVERSATION", json.dumps(line) + "\n", "chats.jsonl")
    [item] = await items(api, done["id"], ITEM)
    assert (as_line(item), item["problems"]) == (chat(user("Rye?"), assistant("3.20.")), [])


async def test_lines_of_chats_are_a_plain_table_where_that_is_asked_for(api: Api, worker: Worker) -> None:
    result, found = await imported_file(api, worker, "CONVERSATION", "openai-tools.jsonl", format="JSONL")
    assert found == lines_of("openai-tools.jsonl")
    assert result["format"] == "JSONL"


@pytest.mark.parametrize(
    ("name", "import_format", "item_format"),
    [
        ("sharegpt.jsonl", "SHAREGPT", "CONVERSATION"),
        ("alpaca.json", "ALPACA", "PROMPT_COMPLETION"),
        ("preferences.csv", "CSV", "PREFERENCE"),
    ],
)
async def test_a_document_says_what_it_was_recognised_as(
    api: Api, worker: Worker, name: str, import_format: str, item_format: str
) -> None:
    document_id = await upload(api, await new_project(api), (FILES / name).read_bytes(), name)
    query = "query($id: ID!) { document(id: $id) { importFormat itemFormat preview { rowCount } } }"
    unread = await api.gql(query, id=document_id)
    assert unread["document"] == {"importFormat": None, "itemFormat": None, "preview": None}
    await drain_queue(worker)
    found = (await api.gql(query, id=document_id))["document"]
    assert (found["importFormat"], found["itemFormat"]) == (import_format, item_format)
    assert found["preview"]["rowCount"] in {2, 3}
