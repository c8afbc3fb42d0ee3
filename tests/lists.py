"""Every list of the schema: its rows can be added, removed and read in pages."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Any
from uuid import UUID

import orjson
from graphql import GraphQLObjectType, get_named_type
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from domain import ids
from domain.ids import Noun
from infra.db import tables
from tests.introspection import NODES, SCHEMA
from tests.sample_data import SHARED, SampleData

NUMBERS = count(1_000)


@dataclass(frozen=True, slots=True, order=True)
class Row:
    """A row of a list: its place in the order, and what the API calls it."""

    key: tuple[Any, ...]
    ident: str


Make = Callable[[Random], tuple[Row, dict[str, Any]]]
"""A row at a random place, and the values in which it differs from the row that is copied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """The rows of a list. `of` is the column of their parent where they have no id; `link` a table between."""

    table: str
    make: Make
    column: str = "id"
    shown: str = "id"
    newest_first: bool = True
    key: Callable[[int, dict[str, Any]], tuple[Any, ...]] = lambda _, node: (number_of(node["id"]),)
    of: str | None = None
    link: str | None = None


def number_of(id: str) -> int:
    """The number of an id's UUID, by which PostgreSQL sorts."""
    uuid = ids.uuid_of(id, id.rpartition("_")[0])
    assert uuid is not None
    return uuid.int


def unique() -> str:
    """A unique text that is also a number and hexadecimal bytes."""
    return f"{next(NUMBERS)}"


def by_id(noun: Noun, *columns: str) -> Make:
    """Rows in the order of their ids; these columns may not have the same value twice."""

    def make(random: Random) -> tuple[Row, dict[str, Any]]:
        uuid = UUID(int=random.getrandbits(128))
        row = Row((uuid.int,), ids.id_of(uuid.bytes, ids.PREFIXES[noun]))
        return row, {"id": str(uuid)} | {column: unique() for column in columns}

    return make


def behind(make: Make, column: str, draw: Callable[[Random], Any], *, alone: bool = False) -> Make:
    """Rows in the order of this column first, and of it `alone` where no two rows can have the same."""

    def made(random: Random) -> tuple[Row, dict[str, Any]]:
        (row, values), value = make(random), draw(random)
        return Row((value,) if alone else (value, *row.key), row.ident), values | {column: value}

    return made


def numbered(column: str) -> Make:
    """Rows that have a number of their own and no id."""

    def make(random: Random) -> tuple[Row, dict[str, Any]]:
        number = random.randrange(1_000, 2**31)
        return Row((number,), str(number)), {column: number}

    return make


ITEM = by_id(Noun.ITEM, "key")
ITEMS = Kind(
    table="items",
    make=behind(ITEM, "position", lambda random: random.randrange(6)),
    newest_first=False,
    key=lambda at, node: (at, number_of(node["id"])),
)
KINDS = {
    "Project": Kind(table="projects", make=by_id(Noun.PROJECT)),
    "Document": Kind(table="documents", make=by_id(Noun.DOCUMENT)),
    "Dataset": Kind(table="datasets", make=by_id(Noun.DATASET, "version")),
    "DatasetItem": ITEMS,
    "BaseModel": Kind(
        table="base_models",
        make=behind(by_id(Noun.BASE_MODEL, "model_id"), "name", lambda random: random.choice("abc")),
        shown="id name",
        newest_first=False,
        key=lambda _, node: (node["name"], number_of(node["id"])),
    ),
    "Finetune": Kind(table="finetunes", make=by_id(Noun.FINETUNE, "version")),
    "Job": Kind(table="jobs", make=by_id(Noun.JOB)),
    "Deployment": Kind(table="deployments", make=by_id(Noun.DEPLOYMENT, "model_name")),
    "ApiKey": Kind(table="api_keys", make=by_id(Noun.API_KEY, "digest")),
    "RequestLog": Kind(table="request_logs", make=by_id(Noun.REQUEST_LOG)),
    "TrainingPoint": Kind(
        table="training_points",
        make=numbered("step"),
        column="step",
        shown="id: step",
        newest_first=False,
        key=lambda _, node: (node["id"],),
        of="finetune_id",
    ),
    "JobEvent": Kind(
        table="job_events",
        make=numbered("seq"),
        column="seq",
        shown="id: cursor",
        newest_first=False,
        key=lambda _, node: (int(node["id"]),),
        of="job_id",
    ),
}
"""The rows of every type that a list may be of."""
LINKED = {
    "Dataset.documents": Kind(table="documents", make=by_id(Noun.DOCUMENT), link="dataset_documents"),
    "Finetune.trainedItems": Kind(
        table="items",
        make=behind(ITEM, "ordinal", lambda random: random.randrange(10, 2**40), alone=True),
        newest_first=False,
        key=lambda at, _: (at + 1,),
        link="finetune_items",
    ),
}
"""Lists whose rows are linked to the parent by another table."""


def places() -> list[str]:
    """Every list of the schema: `Query.jobs`, `Project.datasets`."""
    types = [kind for kind in SCHEMA.type_map.values() if isinstance(kind, GraphQLObjectType)]
    return sorted(
        f"{kind.name}.{name}"
        for kind in types
        for name, field in kind.fields.items()
        if get_named_type(field.type).name.endswith("Connection")
    )


def row_type(place: str) -> str:
    """The type of a list's rows."""
    parent, _, name = place.partition(".")
    kind: Any = SCHEMA.type_map[parent]
    return str(get_named_type(kind.fields[name].type)).removesuffix("Connection")


LINKS = {
    "dataset_documents": "insert into dataset_documents (dataset_id, document_id) "
    "select :parent, (given->>'id')::uuid",
    "finetune_items": "insert into finetune_items (finetune_id, ordinal, item_id, split) "
    "select :parent, (given->>'ordinal')::bigint, (given->>'id')::uuid, 'TRAIN'",
}
GIVEN = "from jsonb_array_elements(cast(:rows as jsonb)) given"


def stored(id: str) -> str:
    """The UUID of an id as text; a number stays as it is."""
    uuid = ids.uuid_of(id, id.rpartition("_")[0])
    return id if uuid is None else str(uuid)


class Listed:
    """A list of one user, with its expected `rows` in their order; the rows of `base` are never deleted."""

    def __init__(self, place: str, owner: SampleData, other_user: SampleData, database: AsyncEngine) -> None:
        self.place = place
        self.owner = owner
        self.other_user = other_user
        self.database = database
        self.projects: list[str] = []
        self.base: list[Row] = []
        self.rows: list[Row] = []
        self.others: list[Row] = []

    def __repr__(self) -> str:
        """The place alone, for the ids of tests."""
        return f"<{self.place}>"

    @property
    def noun(self) -> str:
        """The type of the rows."""
        return row_type(self.place)

    @property
    def parent(self) -> str:
        """The type that has the list."""
        return self.place.partition(".")[0]

    @property
    def kind(self) -> Kind:
        """How the rows are made."""
        return LINKED.get(self.place) or KINDS[self.noun]

    async def response(self, sample: SampleData, **arguments: Any) -> dict[str, Any]:
        """The response to a query for a page by this user, with its errors."""
        types = {"first": "Int", "last": "Int", "after": "String", "before": "String", "id": "ID!"}
        given = ", ".join(f"{name}: ${name}" for name in arguments)
        info = "pageInfo { hasNextPage hasPreviousPage startCursor endCursor }"
        selection = f"{{ edges {{ cursor node {{ {self.kind.shown} }} }} {info} }}"
        field = f"{self.place.partition('.')[2]}{f'({given})' if given else ''} {selection}"
        variables = dict(arguments)
        if self.parent in NODES:
            field = f"node(id: $id) {{ ... on {self.parent} {{ {field} }} }}"
            variables["id"] = sample.ids[self.parent]
        declared = ", ".join(f"${name}: {types[name]}" for name in variables)
        return await sample.api.raw(f"query{f'({declared})' if declared else ''} {{ {field} }}", **variables)

    async def page(self, **arguments: Any) -> dict[str, Any]:
        """A page of the owner's."""
        body = await self.response(self.owner, **arguments)
        assert "errors" not in body, body
        data = body["data"]
        return dict(next(iter((data.get("node") or data).values())))

    async def _read_existing_rows(self) -> None:
        """Read the rows that exist before any are added."""
        nodes = [edge["node"] for edge in (await self.page(first=100))["edges"]]
        self.base = [Row(self.kind.key(at, node), str(node["id"])) for at, node in enumerate(nodes)]
        self.rows = list(self.base)
        assert self.rows == self.sorted(self.rows)
        async with self.database.connect() as connection:
            mine = "select id::text from projects where owner_id = :owner"
            found = await connection.scalars(text(mine), {"owner": stored(self.owner.ids["User"])})
            self.projects = list(found)

    @asynccontextmanager
    async def filled(self, random: Random, number: int) -> AsyncIterator[None]:
        """Add a number of rows, and remove them in the end."""
        if not self.projects:
            await self._read_existing_rows()
        await self.add(random, number)
        try:
            yield
        finally:
            await self.remove([*(set(self.rows) - set(self.base)), *self.others])
            self.others = []

    def sorted(self, rows: Sequence[Row]) -> list[Row]:
        """Rows in the list's order."""
        return sorted(rows, reverse=self.kind.newest_first)

    async def add(self, random: Random, number: int) -> None:
        """Add rows at random places, and half as many of the other user's between them."""
        made = [self.kind.make(random) for _ in range(number)]
        self.rows = self.sorted([*self.rows, *(row for row, _ in made)])
        somewhere = self.parent == "Query" and self.noun != "Project"
        spread = [
            values | ({"project_id": random.choice(self.projects)} if somewhere else {}) for _, values in made
        ]
        await self._copy(self.owner, spread)
        if self.noun not in SHARED:
            others = [self.kind.make(random) for _ in range(number // 2)]
            self.others += [row for row, _ in others]
            await self._copy(self.other_user, [values for _, values in others])

    async def _copy(self, sample: SampleData, values: Sequence[dict[str, Any]]) -> None:
        parent = {"parent": stored(sample.ids[self.parent])} if self.parent in NODES else {}
        async with self.database.begin() as connection:
            for statement in self._statements(sample) if values else ():
                given = {"rows": orjson.dumps(values).decode()} | (parent if ":parent" in statement else {})
                await connection.execute(text(statement), given)

    def _statements(self, sample: SampleData) -> list[str]:
        """The statements that add copies of a row of the sample data."""
        table = tables.metadata.tables[self.kind.table]
        names = [f'"{column.name}"' for column in table.c if column.computed is None]
        made = ", ".join(f"made.{name}" for name in names)
        copied = f"{table.name} template, jsonb_populate_record(template, given) made"
        copies = (
            f"insert into {table.name} ({', '.join(names)}) "
            f"select {made} {GIVEN}, {copied} where {self._template(sample)}"
        )
        return [copies, *([f"{LINKS[self.kind.link]} {GIVEN}"] if self.kind.link else [])]

    def _template(self, sample: SampleData) -> str:
        """The condition of the row that is copied."""
        of, column = self.kind.of, self.kind.column
        if of is None:
            return f"template.id = '{stored(sample.ids[self.noun])}'"
        first = f"select min({column}) from {self.kind.table} where {of} = :parent"  # noqa: S608
        return f"template.{of} = :parent and template.{column} = ({first})"

    async def remove(self, rows: Sequence[Row]) -> None:
        """Delete rows that were added."""
        gone = set(rows)
        self.rows = [row for row in self.rows if row not in gone]
        which = f"delete from {self.kind.table} where {self.kind.column}::text = any(:gone)"  # noqa: S608 - our own names
        async with self.database.begin() as connection:
            await connection.execute(text(which), {"gone": [stored(row.ident) for row in rows]})
