"""How long a server is held by what is made to hold it: each attack over HTTP, by somebody who is signed out.

Attacks take turns, so that a slow moment of the machine falls on all of them. What a request takes on a quiet
connection is in the first line: it is the floor of all the others.
"""

import asyncio
import json
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import perf_counter

import httpx

from benchmarks.machine import Server, luthier, stage
from tests.schema.attacks import ATTACKS, IDS

ROUNDS = 15
HEADERS = {"content-type": "application/json"}


@dataclass(slots=True)
class Metric:
    """One attack: what is sent, how it was answered, and how long that took."""

    body: bytes
    code: str = ""
    times_ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)


def body(query: str, variables: Mapping[str, object] | None = None) -> bytes:
    return json.dumps({"query": query, "variables": variables}).encode()


def bodies() -> dict[str, bytes]:
    """What is sent, by name."""
    lists: object = "x"
    for _ in range(9):
        lists = [lists] * 3
    attacks = {name: body(it.make(2 * it.size), it.variables(2 * it.size)) for name, it in ATTACKS.items()}
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


async def send(client: httpx.AsyncClient, server: Server, it: Metric) -> None:
    cpu, began = server.cpu(), perf_counter()
    try:
        reply = await client.post(server.url, content=it.body, headers=HEADERS)
        errors = reply.json().get("errors") or [{}]
        it.code = _shown(errors[0].get("extensions", {})) or str(reply.status_code)
    except httpx.TransportError:
        it.code = "cut off"
    it.times_ms.append((perf_counter() - began) * 1000)
    it.cpu_ms.append((server.cpu() - cpu) * 1000)


def _shown(facts: Mapping[str, str]) -> str:
    return " ".join(facts[it] for it in ("code", "reason") if it in facts)


def table(metric: Mapping[str, Metric]) -> str:
    lines = [
        f"| {name} | {len(it.body):,} | {it.code} | {statistics.median(it.times_ms):.1f} "
        f"| {max(it.times_ms):.1f} | {statistics.mean(it.cpu_ms):.1f} |"
        for name, it in metric.items()
    ]
    head = "| attack | bytes | refused as | median ms | longest ms | CPU ms |\n|---|---:|---|---:|---:|---:|"
    return "\n".join([head, *lines])


async def measure() -> str:
    """Send everything in turns, and the table."""
    metric = {name: Metric(it) for name, it in bodies().items()}
    async with stage() as variables, luthier(variables) as server, httpx.AsyncClient(timeout=60) as client:
        await send(client, server, Metric(body("{ __typename }")))  # the connection is open
        for _ in range(ROUNDS):
            for it in metric.values():
                await send(client, server, it)
    return table(metric)


if __name__ == "__main__":
    print(asyncio.run(measure()))
