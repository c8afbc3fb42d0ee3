"""Files of conversations and preference pairs as people bring them: what their lines become as items."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.clients import Api
from tests.conftest import Worker
from tests.importing import import_file, items
from tests.jobs import new_project

pytestmark = pytest.mark.anyio

FILES = Path(__file__).parents[1] / "data" / "formats"
NO_FIELDS = {"inputField": None, "outputField": None, "fieldNames": None}
MESSAGE = "role content contentParts name toolCalls { id name arguments } toolCallId weight"
CONVERSATION = f"messages {{ {MESSAGE} }} tools parallelToolCalls"
ITEM = f"""isValid problems {{ code message isWarning }} conversation {{ {CONVERSATION} }}
  preference {{ input {{ {CONVERSATION} }} preferred {{ {MESSAGE} }} nonPreferred {{ {MESSAGE} }} }}"""


async def new_dataset_of(api: Api, item_format: str, **values: Any) -> str:
    """Create a dataset whose fields its format decides; its id."""
    project_id = await new_project(api)
    payload = await api.mutate(
        "createDataset", "dataset { id }", projectId=project_id, itemFormat=item_format, **values
    )
    return str(payload["dataset"]["id"])


async def imported(
    api: Api, worker: Worker, item_format: str, content: str | bytes, name: str, **options: Any
) -> dict[str, Any]:
    """The dataset after a file was imported into a new one, with its job."""
    return await import_file(api, worker, await new_dataset_of(api, item_format), content, name, **options)


async def imported_file(
    api: Api, worker: Worker, item_format: str, name: str, **options: Any
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The result of the import of a file into a new dataset, and the items as lines of OpenAI's format."""
    done = await imported(api, worker, item_format, (FILES / name).read_bytes(), name, **options)
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
