"""Schemathesis: random queries, generated from the schema, against the running server."""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest
from graphql import FieldNode, GraphQLError, OperationDefinitionNode, parse

from domain.services import Services
from tests.clients import Api
from tests.introspection import LISTS, MUTATIONS, QUERIES, id_places
from tests.sample_data import create_sample_data

pytestmark = pytest.mark.anyio

PROGRAM = Path(sys.executable).parent / "schemathesis"
HOOKS = Path(__file__).parent / "hooks.py"
SECONDS = 30
SEED = 3
ENDINGS = ("delete", "revoke", "cancel")
"""How the mutations begin that end what others need."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its response."""

    query: str
    status: int
    body: Any

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Self:
        """One entry of an HTTP archive."""
        sent, response = entry["request"]["postData"]["text"], entry["response"]
        return cls(json.loads(sent)["query"], response["status"], json.loads(response["content"]["text"]))

    @property
    def errors(self) -> list[Any]:
        """The top-level errors."""
        return self.body.get("errors") or []

    @property
    def ran(self) -> bool:
        """Whether the request was executed and has data."""
        return bool(self.body.get("data"))

    @property
    def faulty(self) -> bool:
        """Whether the server failed."""
        return self.status >= 500 or any(error["extensions"]["code"] == "INTERNAL" for error in self.errors)

    @property
    def root(self) -> str:
        """The selected root field; empty where the document cannot be parsed."""
        try:
            [operation] = parse(self.query).definitions
        except GraphQLError:
            return ""
        assert isinstance(operation, OperationDefinitionNode)
        field = operation.selection_set.selections[0]
        return field.name.value if isinstance(field, FieldNode) else ""


def test_an_internal_error_is_recognized_by_status_or_code() -> None:
    internal = {"data": None, "errors": [{"message": "…", "extensions": {"code": "INTERNAL"}}]}
    refused = {"data": None, "errors": [{"message": "…", "extensions": {"code": "BAD_USER_INPUT"}}]}
    assert Exchange("{ health { ok } }", 200, internal).faulty
    assert Exchange("{ health { ok } }", 502, {"errors": []}).faulty
    assert not Exchange("{ health { ok } }", 200, refused).faulty


@pytest.mark.timeout(4 * SECONDS)
async def test_random_queries_cause_no_internal_error(
    live: str, api: Api, services: Services, tmp_path: Path
) -> None:
    kept, doomed = (
        (await create_sample_data(services, api)).ids,
        (await create_sample_data(services, api)).ids,
    )
    (tmp_path / "schemathesis.toml").write_text(configuration(kept, doomed, await cursors(api)))
    exchanges = await judged(f"{live}/graphql", api.token, tmp_path)
    assert [exchange for exchange in exchanges if exchange.faulty] == []
    ran = Counter(exchange.root for exchange in exchanges if exchange.ran)
    assert sum(ran.values()) >= 100  # a thousand where nothing else runs on the machine
    assert len(ran.keys() & (QUERIES.keys() | MUTATIONS.keys())) >= 30


async def judged(url: str, token: str, folder: Path) -> list[Exchange]:
    """The requests that Schemathesis sent, with their responses."""
    archive = folder / "exchanges.har"
    process = await asyncio.create_subprocess_exec(
        PROGRAM, "run", url, "--header", f"Authorization: Bearer {token}",
        "--max-time", str(SECONDS), "--seed", str(SEED), "--workers", "2", "--phases", "fuzzing",
        "--checks", "response_schema_conformance", "--continue-on-failure", "--no-shrink", "--no-color",
        "--generation-database", "none", "--report", "har", "--report-har-path", archive,
        cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    entries = json.loads(archive.read_text())["log"]["entries"]
    return [Exchange.of(entry) for entry in entries if "postData" in entry["request"]]


async def cursors(api: Api) -> dict[str, str]:
    """The first cursor of each of the viewer's lists."""
    selection = " ".join(f"{name}(first: 1) {{ pageInfo {{ endCursor }} }}" for name in LISTS)
    return {
        name: page["pageInfo"]["endCursor"] for name, page in (await api.gql(f"{{ {selection} }}")).items()
    }


def configuration(kept: Mapping[str, str], doomed: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Real ids and cursors for the arguments of ids and cursors, so that queries are executed.

    Mutations that delete or stop objects get ids of their own, so that the other queries still find theirs.
    """
    lists = {**_dictionaries("kept", kept), **_dictionaries("doomed", doomed), "sizes": [1, 2, 100]}
    lists["paths"] = [f"/api/v1/jobs/{kept['Job']}/events"]
    lists |= {name: [cursor] for name, cursor in after.items()}
    lines = [f"hooks = {json.dumps(str(HOOKS))}", "[dictionaries]"]
    lines += [f"{name} = {{ values = {json.dumps(values)} }}" for name, values in lists.items()]
    lines += ["[parameters]", *bindings()]
    return "\n".join(lines)


def _dictionaries(of: str, ids: Mapping[str, str]) -> dict[str, list[Any]]:
    return {f"{of}-{noun}": [id] for noun, id in ids.items()} | {f"{of}-Node": list(ids.values())}


def bindings() -> Iterator[str]:
    """The dictionary of values for each argument."""
    for argument in ("first", "last"):
        yield f'"*.*.{argument}" = {{ dictionary = "sizes", probability = 0.8 }}'
    for name in LISTS:
        yield f'"Query.{name}.after" = {{ dictionary = "{name}", probability = 0.8 }}'
    yield '"Query.ticket.path" = { dictionary = "paths", probability = 0.8 }'
    for place in sorted(id_places()):
        _, field, *_, argument = place.split(".")
        whose, chance = ("doomed", 1.0) if field.startswith(ENDINGS) else ("kept", 0.8)
        path = f"{place}[*]" if argument.endswith("ds") else place
        yield f'"{path}" = {{ dictionary = "{whose}-{noun(field, argument)}", probability = {chance} }}'


NOUNS = {"item": "DatasetItem", "key": "ApiKey", "model": "BaseModel"} | {
    noun.lower(): noun for noun in ("Project", "Document", "Dataset", "Finetune", "Job", "Deployment")
}


def noun(field: str, argument: str) -> str:
    """The noun whose id an argument takes, by the names of field and argument."""
    named = argument.removesuffix("s").removesuffix("Id").lower()
    own = field.lower() if named == "id" else named
    return next((noun for ending, noun in NOUNS.items() if own.endswith(ending)), "Node")
