"""Clients of the API for tests: two users, each with GraphQL and REST."""

from dataclasses import dataclass, field
from itertools import count
from typing import Any

import httpx

NUMBERS = count(1)
REGISTER = """mutation($input: RegisterInput!) {
  register(input: $input) { accessToken user { id } userErrors { message } }
}"""


@dataclass
class Api:
    """A signed-in user and an HTTP client."""

    rest: httpx.AsyncClient
    user_id: str
    token: str
    _other: "Api | None" = field(default=None, repr=False)

    @property
    def other(self) -> "Api":
        """A second user."""
        assert self._other is not None
        return self._other

    async def raw(self, document: str, /, **variables: Any) -> dict[str, Any]:
        """The GraphQL response: `data` and `errors`."""
        response = await self.rest.post("/graphql", json={"query": document, "variables": variables})
        body: dict[str, Any] = response.json()
        return body

    async def gql(self, document: str, /, **variables: Any) -> dict[str, Any]:
        """The data of an operation that has no errors."""
        body = await self.raw(document, **variables)
        assert "errors" not in body or not body["errors"], body["errors"]
        data: dict[str, Any] = body["data"]
        return data

    async def mutate(self, name: str, selection: str, /, **values: Any) -> dict[str, Any]:
        """The payload of a mutation that succeeds; `selection` is that of the payload without `userErrors`."""
        payload = await self.attempt(name, selection, **values)
        assert payload["userErrors"] == [], payload["userErrors"]
        return payload

    async def refused(self, name: str, /, **values: Any) -> dict[str, Any]:
        """The one user error of a mutation that is refused: code, message, field, reason, context."""
        payload = await self.attempt(name, "", **values)
        assert len(payload["userErrors"]) == 1, payload
        error: dict[str, Any] = payload["userErrors"][0]
        return error

    async def attempt(self, name: str, selection: str, /, **values: Any) -> dict[str, Any]:
        """The payload of a mutation, with its user errors."""
        kind = INPUT_TYPES.get(name, f"{name[0].upper()}{name[1:]}Input")
        document = (
            f"mutation($input: {kind}!) {{ {name}(input: $input) "
            f"{{ {selection} userErrors {{ code message field reason context }} }} }}"
        )
        payload: dict[str, Any] = (await self.gql(document, input=values))[name]
        return payload


INPUT_TYPES = {
    "deleteProject": "DeleteInput",
    "deleteDocument": "DeleteInput",
    "deleteDataset": "DeleteInput",
    "deleteFinetune": "DeleteInput",
    "deleteDeployment": "DeleteInput",
    "restoreItems": "DeleteItemsInput",
}


async def sign_up(rest: httpx.AsyncClient) -> Api:
    """Register a new user, and sign the client in."""
    input = {"email": f"user{next(NUMBERS)}@example.org", "password": "correct horse", "name": "A User"}
    response = await rest.post("/graphql", json={"query": REGISTER, "variables": {"input": input}})
    payload = response.json()["data"]["register"]
    assert payload["userErrors"] == [], payload
    rest.headers["authorization"] = f"Bearer {payload['accessToken']}"
    return Api(rest, payload["user"]["id"], payload["accessToken"])
