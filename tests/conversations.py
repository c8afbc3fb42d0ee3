"""Messages, conversations and preference pairs for tests, and datasets that have them as items."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from domain import items
from domain.conversations import ItemFormat
from domain.datasets import RunStatus
from domain.items import Item, ItemOrigin
from domain.reading import require
from domain.services import Services
from tests.clients import Api
from tests.jobs import new_project

Message = dict[str, Any]


def system(content: str = "Be brief.") -> Message:
    return {"role": "system", "content": content}


def user(content: Any = "Weather in Paris?", **keys: Any) -> Message:
    return {"role": "user", "content": content, **keys}


def assistant(content: Any = "Sunny.", **keys: Any) -> Message:
    return {"role": "assistant", "content": content, **keys}


def call(id: str = "call_1", name: str = "weather", arguments: Any = '{"city": "Paris"}') -> Message:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def calling(*calls: Any, **keys: Any) -> Message:
    return {"role": "assistant", "content": None, "tool_calls": list(calls or (call(),)), **keys}


def result(id: Any = "call_1", content: Any = "sunny", **keys: Any) -> Message:
    return {"role": "tool", "tool_call_id": id, "content": content, **keys}


def tool(name: str = "weather", **keys: Any) -> Message:
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object"}, **keys}}


def chat(*messages: Any, **keys: Any) -> dict[str, Any]:
    return {"messages": list(messages), **keys}


def pair(*messages: Any, preferred: Any = None, other: Any = None, tools: Any = None) -> dict[str, Any]:
    asked = chat(*(messages or (user(),)))
    return {
        "input": asked if tools is None else asked | {"tools": tools},
        "preferred_output": [assistant() if preferred is None else preferred],
        "non_preferred_output": [assistant("Who knows.") if other is None else other],
    }


async def new_dataset(
    services: Services,
    api: Api,
    item_format: ItemFormat,
    found: Sequence[Mapping[str, Any]],
    project_id: str | None = None,
    **values: Any,
) -> str:
    """Create a dataset that is DONE and has these conversations or pairs as items; its id. A text is a raw value."""
    created = await api.mutate(
        "createDataset",
        "dataset { id }",
        projectId=project_id or await new_project(api),
        itemFormat=item_format,
        **values,
    )
    dataset_id = str(created["dataset"]["id"])
    async with services.transactions.begin() as store:
        dataset = await require(store.datasets, dataset_id, viewer_id=api.user_id)

        async def added() -> AsyncIterator[Item]:
            for position, members in enumerate(found):
                yield items.new_item(
                    dataset,
                    {name: as_value(member) for name, member in members.items()},
                    key=f"line {position}",
                    position=position,
                    origin=ItemOrigin.UPLOADED,
                    now=services.now(),
                )

        await store.items.add_many(added())
        await store.datasets.change(dataset_id, {"status": RunStatus.DONE})
        await store.items.recompute(dataset)
    return dataset_id


def as_value(member: Any) -> str:
    """A member of a conversation or a pair as the value of an item's field."""
    return member if isinstance(member, str) else json.dumps(member, ensure_ascii=False)
