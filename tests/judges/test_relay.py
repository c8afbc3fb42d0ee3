"""Relay's compiler compiles the operations of a typical React application against the committed SDL."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from graphql import parse, validate

from tests.introspection import SCHEMA

ROOT = Path(__file__).parents[2]
NODE = Path(sys.executable).with_name("node")
JUDGES = ROOT / "tests" / "node"
COMPILER = JUDGES / "node_modules" / "relay-compiler" / "cli.js"
SDL = (ROOT / "schema" / "schema.graphql").read_text()


def compiled(sdl: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Compile the operations of `tests/node/relay` into the folder."""
    project = shutil.copytree(JUDGES / "relay", folder / "project")
    (project / "schema.graphql").write_text(sdl)
    command = [str(NODE), str(COMPILER), "relay.config.json"]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=60, check=False)


def texts(folder: Path) -> dict[str, str]:
    """The texts of the compiled operations by name, with the queries that refetch and paginate."""
    made = (folder / "project" / "src" / "__generated__").glob("*.graphql.js")
    found = {
        path.name.removesuffix(".graphql.js"): re.search(r'"text": (".*")', path.read_text()) for path in made
    }
    return {name: json.loads(match[1]) for name, match in found.items() if match}


def test_relay_compiles_pages_refetches_mutations_and_subscriptions(tmp_path: Path) -> None:
    done = compiled(SDL, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    sent = texts(tmp_path)
    assert sent.keys() == {
        "operationsCreateMutation", "operationsDeleteMutation", "operationsEventsSubscription",
        "operationsItemsPaginationQuery", "operationsJobsPaginationQuery", "operationsProjectRefetchQuery",
        "operationsProjectsPaginationQuery", "operationsProjectsQuery",
    }  # fmt: skip
    through_node = {name for name, text in sent.items() if "node(id: $id)" in text}
    assert through_node == {
        "operationsItemsPaginationQuery", "operationsJobsPaginationQuery", "operationsProjectRefetchQuery",
    }  # fmt: skip
    assert [error for text in sent.values() for error in validate(SCHEMA, parse(text))] == []


@pytest.mark.parametrize(
    ("ours", "broken", "complaint"),
    [
        ("  hasNextPage: Boolean!\n", "  more: Boolean!\n", "hasNextPage"),
        ("  endCursor: String\n", "  last: String\n", "endCursor"),
        ("type Dataset implements Node {", "type Dataset {", "@refetchable"),
        ("  deletedId: ID\n", "  deletedId: String\n", "deleteEdge"),
    ],
)
def test_relay_refuses_a_schema_that_breaks_its_conventions(
    ours: str, broken: str, complaint: str, tmp_path: Path
) -> None:
    assert SDL.count(ours) == 1
    refused = compiled(SDL.replace(ours, broken), tmp_path)
    assert refused.returncode != 0
    assert complaint in refused.stdout + refused.stderr
