"""A list that is asked for columns alone reads nothing else, and says the same."""

import ast
import os
from collections.abc import Iterator
from inspect import getsource
from random import Random
from textwrap import dedent
from typing import Any

import pytest
from graphql import FragmentDefinitionNode, get_named_type, parse
from strawberry.types.base import get_object_definition

from benchmarks.recorded import recorded_statements
from domain.services import Services
from schema.execution._bound_resolver import REQUIRED_ATTRIBUTES
from schema.shared import connections
from schema.shared.nodes import OF
from schema.shared.projection import attributes, fields_in
from tests.clients import Api
from tests.finetuning import new_dataset, new_project
from tests.introspection import LISTS, NODES, selected
from tests.world import create_world

pytestmark = pytest.mark.anyio


def noun_of(connection: Any) -> str:
    """What a connection is of."""
    return str(get_named_type(get_named_type(connection.type).fields["nodes"].type))


def lists() -> Iterator[tuple[str, str, str]]:
    """Every list of nouns: the noun, the parent's noun if there is one, and the field."""
    fields = [(parent, name, field) for parent, it in NODES.items() for name, field in it.fields.items()]
    for parent, name, field in [*fields, *(("", name, field) for name, field in LISTS.items())]:
        if str(field.type).endswith("Connection!") and noun_of(field) in NODES:
            yield noun_of(field), parent, name


async def rows(api: Api, parent: str, parent_id: str, name: str, wanted: str) -> list[dict[str, Any]]:
    """The rows of a list."""
    asked = f"{name}(first: 20) {{ nodes {{ {wanted} }} edges {{ cursor node {{ id }} }} }}"
    if not parent:
        return list((await api.gql(f"{{ {asked} }}"))[name]["nodes"])
    document = f"query($id: ID!) {{ node(id: $id) {{ ... on {parent} {{ {asked} }} }} }}"
    return list((await api.gql(document, id=parent_id))["node"][name]["nodes"])


async def test_every_attribute_is_the_same_alone_as_with_all_the_rest(api: Api, services: Services) -> None:
    world = await create_world(services, api)
    compared: set[tuple[str, str]] = set()
    for noun, parent, name in lists():
        id, fields = world.ids[noun], NODES[noun].fields
        for field in attributes(noun):
            if (noun, field) in compared:  # another list of the same rows
                continue
            wanted = f"{field} {selected(fields[field])}"
            document = f"query($id: ID!) {{ node(id: $id) {{ ... on {noun} {{ id {wanted} }} }} }}"
            whole = (await api.gql(document, id=id))["node"]
            found = await rows(api, parent, world.ids.get(parent, ""), name, f"id {wanted}")
            same = [it for it in found if it["id"] == id]
            assert same in ([], [whole]), (noun, parent, name, field)
            compared.update((noun, field) for _ in same)
    assert compared == {(noun, field) for noun, *_ in lists() for field in attributes(noun)}


async def test_fragments_and_what_is_skipped_are_looked_through(api: Api) -> None:
    await api.mutate("createProject", "project { id }", name="one", description="about it")
    document = """query($no: Boolean = false) { projects { ...Rows edges { node { ... on Node { id } ... on Project {
      name @include(if: $no) taskType } } } } }
      fragment Rows on ProjectConnection { nodes { ...Row stage @skip(if: true) } }
      fragment Row on Project { description }"""
    found = (await api.gql(document))["projects"]
    assert found["nodes"] == [{"description": "about it"}]
    assert [it["node"].keys() for it in found["edges"]] == [{"id", "taskType"}]


async def test_only_the_columns_that_are_asked_for_are_read(api: Api) -> None:
    await api.mutate("createProject", "project { id }", name="one")
    with recorded_statements() as seen:
        await api.gql("{ projects { nodes { name } } }")
    assert len(seen) == 1
    assert "projects.name" in seen[0][0]
    assert "projects.description" not in seen[0][0]


def test_a_fragment_that_is_spread_many_times_is_looked_through_once() -> None:
    doubling = "".join(f"fragment F{it} on Project {{ name ...F{it + 1} ...F{it + 1} }}" for it in range(30))
    document = parse(f"{{ projects {{ nodes {{ ...F0 }} }} }} {doubling} fragment F30 on Project {{ id }}")
    fragments = {it.name.value: it for it in document.definitions if isinstance(it, FragmentDefinitionNode)}
    first = fragments["F0"].selection_set
    assert [it.name.value for it in fields_in([first], fragments, set())] == ["name"] * 30 + ["id"]


REUSED = "fragment F on Project { datasets(first: 1) { nodes { id } } }"
MORE = "datasets(first: 1) { nodes { name } edges { node { version } } }"
MERGED = [
    f"query($id: ID!) {{ b: project(id: $id) {{ ...F }} a: project(id: $id) {{ ...F {MORE} }} }} {REUSED}",
    f"query($id: ID!) {{ a: project(id: $id) {{ ...F {MORE} }} b: project(id: $id) {{ ...F }} }} {REUSED}",
    f"query($id: ID!) {{ a: project(id: $id) {{ {MORE} ...F }} b: project(id: $id) {{ ...F }} }} {REUSED}",
    f"""query($id: ID!) {{ b: project(id: $id) {{ ...F }} a: project(id: $id) {{ ...G ...F }} }} {REUSED}
      fragment G on Project {{ {MORE} }}""",
]


@pytest.mark.parametrize("document", MERGED)
async def test_a_fragment_is_merged_in_one_place_and_not_in_another(
    api: Api, services: Services, document: str
) -> None:
    project_id = await new_project(api)
    dataset_id = await new_dataset(services, api, project_id)
    whole = (await api.gql("query($id: ID!) { dataset(id: $id) { name version } }", id=dataset_id))["dataset"]
    found = await api.gql(document, id=project_id)
    assert found["b"] == {"datasets": {"nodes": [{"id": dataset_id}]}}
    assert found["a"]["datasets"]["nodes"] == [{"id": dataset_id, "name": whole["name"]}]
    assert found["a"]["datasets"]["edges"] == [{"node": {"version": whole["version"]}}]


def merging(random: Random) -> str:
    """A document with fragments that are spread in several places, and merged in each with something else."""
    columns = {"datasets": "Dataset", "finetunes": "Finetune", "jobs": "Job", "deployments": "Deployment"}

    def listed() -> str:
        name = random.choice([*columns])
        wanted = random.sample(sorted(attributes_of(columns[name])), random.randrange(1, 3))
        wanted += ["project { id }"] * (random.random() < 0.1)  # which makes the rows whole ones
        return f"{name}(first: 3) {{ {random.choice(ROWS).format(' '.join(wanted))} }}"

    inner = f"fragment F0 on Project {{ {listed()} {listed()} }}"
    outer = f"fragment F1 on Project {{ ...F0 {listed()} {listed()} }}"
    parts = [["...F1", *random.sample(["...F0", listed(), listed(), listed()], 2)] for _ in range(3)]
    places = [f"p{number}: project(id: $id) {{ {' '.join(it)} }}" for number, it in enumerate(parts)]
    random.shuffle(places)
    return f"query($id: ID!) {{ {' '.join(places)} }} {inner} {outer}"


def attributes_of(noun: str) -> list[str]:
    """The attributes of a noun that are no objects."""
    fields = NODES[noun].fields
    return [it for it in attributes(noun) if not selected(fields[it])]


ROWS = ["nodes {{ {} }}", "edges {{ node {{ {} }} }}"]
SEED = int(os.environ.get("FUZZ_SEED", "1"))
DOCUMENTS = int(os.environ.get("FUZZ_WORLDS", "100")) // 4


async def test_whatever_is_merged_is_the_same_as_with_whole_rows(
    api: Api, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, random = await create_world(services, api), Random(SEED)  # noqa: S311 - it keeps no secret
    for _ in range(DOCUMENTS):
        document = merging(random)
        parts = await api.gql(document, id=world.ids["Project"])
        with monkeypatch.context() as patched:
            patched.setattr(connections, "asked", lambda *_: None)
            whole = await api.gql(document, id=world.ids["Project"])
        assert parts == whole, document


def test_a_field_by_id_looks_at_nothing_but_the_id_and_hands_it_on() -> None:
    seen = 0
    for noun, of in OF.items():
        definition: Any = get_object_definition(of.__self__, strict=True)  # type: ignore[attr-defined]
        for field in definition.fields:
            if field.metadata.get(REQUIRED_ATTRIBUTES) is None:
                continue
            resolver: Any = field.base_resolver
            body = ast.parse(dedent(getsource(resolver.wrapped_func)))
            uses = [it for it in ast.walk(body) if isinstance(it, ast.Name) and it.id == "self"]
            handed = [
                argument
                for call in ast.walk(body)
                if isinstance(call, ast.Call)
                for argument in [*call.args, *(it.value for it in call.keywords)]
                if ast.unparse(argument) == "self.id"
            ]
            assert len(uses) == len(handed) == 1, (noun, field.python_name)
            seen += 1
    assert seen > 20
