"""How long expensive requests keep the server busy: each attack over HTTP, without a token.

The attacks alternate, so that a slow moment of the machine affects all of them. The first line is a small query: the
baseline of the others.
"""

import asyncio
import json
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import perf_counter

import httpx

from benchmarks.machine import Server, database_environment, luthier
from tests.schema.admission.attacks import ATTACKS, IDS

ROUNDS = 15
HEADERS = {"content-type": "application/json"}


@dataclass(slots=True)
class Attack:
    """The body that is sent, the error code of the response, and the time and the server's CPU of each round."""

    body: bytes
    code: str = ""
    times_ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)


def body(query: str, variables: Mapping[str, object] | None = None) -> bytes:
    return json.dumps({"query": query, "variables": variables}).encode()


def bodies() -> dict[str, bytes]:
    """The bodies by the name of the attack."""
    lists: object = "x"
    for _ in range(9):
        lists = [lists] * 3
    attacks = {
        name: body(attack.make(2 * attack.size), attack.variables(2 * attack.size))
        for name, attack in ATTACKS.items()
    }
    others = {
        "nested lists 3^9 in a variable": body(IDS, {"ids": lists}),
        "a 6,000-digit Int in a variable": body(IDS).replace(b"null", b'{"ids": ' + b"9" * 6_000 + b"}"),
        "100,000 [": b"[" * 100_000,
        "a body of 20 MB": b"x" * 20_971_520,
        "a batch of 1,000": b"[" + b",".join([body("{ health { version } }")] * 1_000) + b"]",
        "first: -1": body("{ projects(first: -1) { totalCount } }"),
        "first: 1e6": body("{ projects(first: 1000000) { totalCount } }"),
    }
    return {"(a small query)": body("{ __typename }")} | attacks | others


async def send(client: httpx.AsyncClient, server: Server, attack: Attack) -> None:
    cpu, began = server.cpu(), perf_counter()
    try:
        response = await client.post(server.url, content=attack.body, headers=HEADERS)
        errors = response.json().get("errors") or [{}]
        attack.code = _shown(errors[0].get("extensions", {})) or str(response.status_code)
    except httpx.TransportError:
        attack.code = "cut off"
    attack.times_ms.append((perf_counter() - began) * 1000)
    attack.cpu_ms.append((server.cpu() - cpu) * 1000)


def _shown(extensions: Mapping[str, str]) -> str:
    return " ".join(extensions[name] for name in ("code", "reason") if name in extensions)


def table(attacks: Mapping[str, Attack]) -> str:
    lines = [
        f"| {name} | {len(attack.body):,} | {attack.code} | {statistics.median(attack.times_ms):.1f} "
        f"| {max(attack.times_ms):.1f} | {statistics.mean(attack.cpu_ms):.1f} |"
        for name, attack in attacks.items()
    ]
    head = "| attack | bytes | refused as | median ms | longest ms | CPU ms |\n|---|---:|---|---:|---:|---:|"
    return "\n".join([head, *lines])


async def measure() -> str:
    """Send all attacks in alternation; returns the Markdown table."""
    attacks = {name: Attack(body) for name, body in bodies().items()}
    async with (
        database_environment() as variables,
        luthier(variables) as server,
        httpx.AsyncClient(timeout=60) as client,
    ):
        await send(client, server, Attack(body("{ __typename }")))  # opens the connection
        for _ in range(ROUNDS):
            for attack in attacks.values():
                await send(client, server, attack)
    return table(attacks)


if __name__ == "__main__":
    print(asyncio.run(measure()))
