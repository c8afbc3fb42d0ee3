"""An example of a request to a model that `luthier tune` deployed, made of an item that it was trained on."""

import json
from typing import Any

from app.cli.api_client import Client

VALID_ITEMS = """
query($id: ID!) { dataset(id: $id) { items(filter: {isValid: true, active: true}, first: 100) { nodes { values } } } }
"""


def example_request(client: Client, dataset_id: str, item_format: str) -> dict[str, Any]:
    """The messages, and tools where there are any, that the shortest of the first valid items asks.

    The shortest is not one that a model has no room for, if any has.
    """
    items = client.query(VALID_ITEMS, id=dataset_id)["dataset"]["items"]["nodes"]
    requests = [_request(item["values"], item_format) for item in items]
    return min(requests, key=lambda request: len(json.dumps(request)), default=_question(""))


def _request(values: list[str], item_format: str) -> dict[str, Any]:
    if item_format == "PREFERENCE":
        return _without_weights(json.loads(values[0]))
    if item_format == "CONVERSATION":
        conversation = {"messages": json.loads(values[0])}
        if values[1]:
            conversation["tools"] = json.loads(values[1])
        return _without_weights(_before_last_answer(conversation))
    return _question(values[0])


def _question(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


def _before_last_answer(conversation: dict[str, Any]) -> dict[str, Any]:
    """The conversation up to the last answer that is learned."""
    messages = conversation["messages"]
    answers = [
        index
        for index, message in enumerate(messages)
        if message["role"] == "assistant" and message.get("weight") != 0
    ]
    return {**conversation, "messages": messages[: answers[-1]]}


def _without_weights(conversation: dict[str, Any]) -> dict[str, Any]:
    """The conversation as a request, in which messages have no weights, and what is null is absent."""
    messages = [
        {name: value for name, value in message.items() if name != "weight"}
        for message in conversation["messages"]
    ]
    found = {name: value for name, value in conversation.items() if value}
    return {**found, "messages": messages}
