"""A connection of which only columns are selected reads those columns alone, and has the same values."""

import ast
import os
from collections.abc import Iterator, Mapping
from inspect import getsource
from random import Random
from textwrap import dedent
from typing import Any

import pytest
from graphql import FragmentDefinitionNode, get_named_type, parse
from strawberry.types.base import get_object_definition

from benchmarks.recorded import recorded_statements
from domain.reading import Collection
from domain.services import Services
from resolvers.reading import collection_of
from schema.execution._bound_resolver import REQUIRED_ATTRIBUTES
from schema.shared import connections
from schema.shared._projection import attributes_by_field, selected_fields
from schema.shared.nodes import NODE_TYPES
from tests.clients import Api
from tests.finetuning import new_dataset, new_project
from tests.introspection import LISTS, NODES, selected
from tests.sample_data import create_sample_data

pytestmark = pytest.mark.anyio


def noun_of(connection: Any) -> str:
    """The noun of a connection's nodes."""
    return str(get_named_type(get_named_type(connection.type).fields["nodes"].type))


def lists() -> Iterator[tuple[str, str, str]]:
    """Every list of nouns: the noun, the parent's noun if there is one, and the field."""
    fields = [(parent, name, field) for parent, kind in NODES.items() for name, field in kind.fields.items()]
    for parent, name, field in [*fields, *(("", name, field) for name, field in LISTS.items())]:
        if str(field.type).endswith("Connection!") and noun_of(field) in NODES:
            yield noun_of(field), parent, name


async def rows(api: Api, parent: str, parent_id: str, name: str, selection: str) -> list[dict[str, Any]]:
    """The rows of a list."""
    first = (
        100 if name == "baseModels" else 20
    )  # of the catalog, the model that the sample trains is not among the first
    field = f"{name}(first: {first}) {{ nodes {{ {selection} }} edges {{ cursor node {{ id }} }} }}"
    if not parent:
        return list((await api.gql(f"{{ {field} }}"))[name]["nodes"])
    document = f"query($id: ID!) {{ node(id: $id) {{ ... on {parent} {{ {field} }} }} }}"
    return list((await api.gql(document, id=parent_id))["node"][name]["nodes"])


async def test_every_attribute_has_the_same_value_alone_as_with_the_whole_row(
    api: Api, services: Services
) -> None:
    sample = await create_sample_data(services, api)
    compared: set[tuple[str, str]] = set()
    for noun, parent, name in lists():
        id, fields = sample.ids[noun], NODES[noun].fields
        for field in attributes_by_field(noun):
            if (noun, field) in compared:  # another list of the same rows
                continue
            selection = f"{field} {selected(fields[field])}"
            document = f"query($id: ID!) {{ node(id: $id) {{ ... on {noun} {{ id {selection} }} }} }}"
            whole = (await api.gql(document, id=id))["node"]
            found = await rows(api, parent, sample.ids.get(parent, ""), name, f"id {selection}")
            same = [row for row in found if row["id"] == id]
            assert same in ([], [whole]), (noun, parent, name, field)
            compared.update((noun, field) for _ in same)
    assert compared == {(noun, field) for noun, *_ in lists() for field in attributes_by_field(noun)}


COMPUTED: Mapping[Collection, set[str]] = {
    Collection.BASE_MODELS: {"estimated_vram4bit_gb", "estimated_vram_fp16_gb", "supported_lora_params"},
    Collection.DOCUMENTS: {"download_url", "encoding_readings", "preview", "s3_key"},
    Collection.FINETUNES: {
        "artifacts", "hyperparameters", "inference_samples", "metrics", "name", "parity",
    },
    Collection.IMPORTED_DOCUMENTS: {"download_url", "encoding_readings", "preview", "s3_key"},
    Collection.ITEMS: {"problems", "source"},
    Collection.PROJECTS: {"config"},
}  # fmt: skip
"""The attributes that are computed from whole rows: where one is selected, whole rows are read."""
WHOLE_ROWS = {Collection.FROZEN_ITEMS}
"""The collections whose rows are always read as a whole."""


async def test_every_attribute_that_may_be_projected_is_a_column_or_known_to_be_computed(
    services: Services,
) -> None:
    nouns = {collection: collection.noun for collection in Collection if collection not in WHOLE_ROWS}
    async with services.transactions.read() as store:
        for collection, noun in nouns.items():
            if noun is None:
                continue
            reader: Any = collection_of(store, collection)
            required = frozenset().union(*attributes_by_field(noun).values())
            columns = {column.key for column in reader.columns}
            assert reader.projectable <= columns
            assert required - reader.projectable == COMPUTED.get(collection, set()), collection


async def test_fragments_and_skipped_fields_count_as_selected(api: Api) -> None:
    await api.mutate("createProject", "project { id }", name="one", description="about it")
    document = """query($no: Boolean = false) { projects { ...Rows edges { node { ... on Node { id } ... on Project {
      name @include(if: $no) taskType } } } } }
      fragment Rows on ProjectConnection { nodes { ...Row stage @skip(if: true) } }
      fragment Row on Project { description }"""
    found = (await api.gql(document))["projects"]
    assert found["nodes"] == [{"description": "about it"}]
    assert [edge["node"].keys() for edge in found["edges"]] == [{"id", "taskType"}]


async def test_only_the_selected_columns_are_read(api: Api) -> None:
    await api.mutate("createProject", "project { id }", name="one")
    with recorded_statements() as seen:
        await api.gql("{ projects { nodes { name } } }")
    assert len(seen) == 1
    assert "projects.name" in seen[0][0]
    assert "projects.description" not in seen[0][0]


def test_a_fragment_that_is_spread_often_is_visited_once() -> None:
    doubling = "".join(
        f"fragment F{number} on Project {{ name ...F{number + 1} ...F{number + 1} }}" for number in range(30)
    )
    document = parse(f"{{ projects {{ nodes {{ ...F0 }} }} }} {doubling} fragment F30 on Project {{ id }}")
    fragments = {
        definition.name.value: definition
        for definition in document.definitions
        if isinstance(definition, FragmentDefinitionNode)
    }
    first = fragments["F0"].selection_set
    assert [field.name.value for field in selected_fields([first], fragments, set())] == ["name"] * 30 + [
        "id"
    ]


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
async def test_a_fragment_may_be_merged_in_one_place_and_not_in_another(
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
    """A document with fragments that are spread in several places, and merged with other selections in each."""
    columns = {"datasets": "Dataset", "finetunes": "Finetune", "jobs": "Job", "deployments": "Deployment"}

    def listed() -> str:
        name = random.choice([*columns])
        selection = random.sample(sorted(attributes_of(columns[name])), random.randrange(1, 3))
        selection += ["project { id }"] * (random.random() < 0.1)  # which makes the rows whole ones
        return f"{name}(first: 3) {{ {random.choice(ROWS).format(' '.join(selection))} }}"

    inner = f"fragment F0 on Project {{ {listed()} {listed()} }}"
    outer = f"fragment F1 on Project {{ ...F0 {listed()} {listed()} }}"
    parts = [["...F1", *random.sample(["...F0", listed(), listed(), listed()], 2)] for _ in range(3)]
    places = [
        f"p{number}: project(id: $id) {{ {' '.join(selections)} }}" for number, selections in enumerate(parts)
    ]
    random.shuffle(places)
    return f"query($id: ID!) {{ {' '.join(places)} }} {inner} {outer}"


def attributes_of(noun: str) -> list[str]:
    """The scalar attributes of a noun."""
    fields = NODES[noun].fields
    return [name for name in attributes_by_field(noun) if not selected(fields[name])]


ROWS = ["nodes {{ {} }}", "edges {{ node {{ {} }} }}"]
SEED = int(os.environ.get("FUZZ_SEED", "1"))
DOCUMENTS = int(os.environ.get("FUZZ_COUNT", "100")) // 4


async def test_merged_selections_have_the_same_values_as_whole_rows(
    api: Api, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample, random = await create_sample_data(services, api), Random(SEED)  # noqa: S311 - it keeps no secret
    for _ in range(DOCUMENTS):
        document = merging(random)
        parts = await api.gql(document, id=sample.ids["Project"])
        with monkeypatch.context() as patched:
            patched.setattr(connections, "required_attributes", lambda *_: None)
            whole = await api.gql(document, id=sample.ids["Project"])
        assert parts == whole, document


def test_a_field_that_needs_only_the_id_uses_nothing_else() -> None:
    seen = 0
    for noun, kind in NODE_TYPES.items():
        definition: Any = get_object_definition(kind, strict=True)
        for field in definition.fields:
            if field.metadata.get(REQUIRED_ATTRIBUTES) is None:
                continue
            resolver: Any = field.base_resolver
            body = ast.parse(dedent(getsource(resolver.wrapped_func)))
            uses = [name for name in ast.walk(body) if isinstance(name, ast.Name) and name.id == "self"]
            handed = [
                argument
                for call in ast.walk(body)
                if isinstance(call, ast.Call)
                for argument in [*call.args, *(keyword.value for keyword in call.keywords)]
                if ast.unparse(argument) == "self.id"
            ]
            assert len(uses) == len(handed) == 1, (noun, field.python_name)
            seen += 1
    assert seen > 20
