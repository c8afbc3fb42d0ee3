"""How tests speak to the API: as one user, and as another."""

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
    """One signed-in user of the application."""

    rest: httpx.AsyncClient
    user_id: str
    token: str
    _other: "Api | None" = field(default=None, repr=False)

    @property
    def other(self) -> "Api":
        """A second user, who owns nothing of the first one's."""
        assert self._other is not None
        return self._other

    async def raw(self, document: str, /, **variables: Any) -> dict[str, Any]:
        """The whole GraphQL answer, errors and all."""
        reply = await self.rest.post("/graphql", json={"query": document, "variables": variables})
        body: dict[str, Any] = reply.json()
        return body

    async def gql(self, document: str, /, **variables: Any) -> dict[str, Any]:
        """The data of an operation without top-level errors."""
        body = await self.raw(document, **variables)
        assert "errors" not in body or not body["errors"], body["errors"]
        data: dict[str, Any] = body["data"]
        return data

    async def mutate(self, name: str, wanted: str, /, **given: Any) -> dict[str, Any]:
        """The payload of a mutation that succeeds; `wanted` is its selection without `userErrors`."""
        payload = await self.attempt(name, wanted, **given)
        assert payload["userErrors"] == [], payload["userErrors"]
        return payload

    async def refused(self, name: str, /, **given: Any) -> dict[str, Any]:
        """The one user error of a mutation that is refused: code, message, field, reason, context."""
        payload = await self.attempt(name, "", **given)
        assert len(payload["userErrors"]) == 1, payload
        error: dict[str, Any] = payload["userErrors"][0]
        return error

    async def attempt(self, name: str, wanted: str, /, **given: Any) -> dict[str, Any]:
        """The payload of a mutation, whatever came of it."""
        kind = INPUTS.get(name, f"{name[0].upper()}{name[1:]}Input")
        document = (
            f"mutation($input: {kind}!) {{ {name}(input: $input) "
            f"{{ {wanted} userErrors {{ code message field reason context }} }} }}"
        )
        payload: dict[str, Any] = (await self.gql(document, input=given))[name]
        return payload


INPUTS = {
    "deleteProject": "DeleteInput",
    "deleteDocument": "DeleteInput",
    "deleteDataset": "DeleteInput",
    "deleteFinetune": "DeleteInput",
    "deleteDeployment": "DeleteInput",
    "restoreItems": "DeleteItemsInput",
}


async def sign_up(rest: httpx.AsyncClient) -> Api:
    """A new user on this client."""
    given = {"email": f"user{next(NUMBERS)}@example.org", "password": "correct horse", "name": "A User"}
    reply = await rest.post("/graphql", json={"query": REGISTER, "variables": {"input": given}})
    payload = reply.json()["data"]["register"]
    assert payload["userErrors"] == [], payload
    rest.headers["authorization"] = f"Bearer {payload['accessToken']}"
    return Api(rest, payload["user"]["id"], payload["accessToken"])
