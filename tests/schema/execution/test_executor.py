"""The column executor has the same results as the stock one: values, their order, errors and their paths."""

import gc
import os
from collections.abc import Iterable, Iterator
from random import Random
from typing import Any

import orjson
import pytest
from graphql import (
    DocumentNode,
    GraphQLArgument,
    OperationType,
    execute,
    parse,
    subscribe,
    validate,
)
from graphql.execution import ExecutionResult, Executor
from strawberry.execution import optimized_is_awaitable
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from strawberry.utils.await_maybe import await_maybe

from domain.services import Services
from schema.execution import OperationState
from schema.execution._executor import ColumnExecutor
from schema.root import schema, schema_with_executor
from schema.shared import connections
from tests.clients import Api
from tests.sample_data import SampleData, create_sample_data
from tests.schema.execution import sample_schema as module
from tests.schema.execution.random_queries import Queries, Value
from tests.schema.execution.sample_schema import BAD, GOOD, NEAR, Branch, Leaf, Values, kinds

pytestmark = [
    pytest.mark.anyio,
    # What a null above it makes superfluous, graphql-core cancels before it has begun.
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"),
    pytest.mark.filterwarnings(
        "ignore::pytest.PytestUnraisableExceptionWarning"
    ),  # where the warning itself fails
]


@pytest.fixture(autouse=True)
def _warned() -> Iterator[None]:
    """Collect garbage while warnings of coroutines are ignored, not in a later test."""
    yield
    gc.collect()


SEED = int(os.environ.get("FUZZ_SEED", "1"))
COUNT = int(os.environ.get("FUZZ_COUNT", "100"))
"""For how many `Values` 25 queries are run each; a longer run is `FUZZ_SEED=1000 FUZZ_COUNT=1000`."""
OPERATIONS = [OperationType.QUERY] * 3 + [OperationType.MUTATION]
THING = "{ __typename ... on Named { name } ... on Leaf { whole } ... on Choosy { whole } ... on Branch { leaf { id } } }"
SELECTIONS: dict[type, dict[str, str]] = {
    Leaf: {name: name for name in GOOD if name != "label"},
    Branch: {
        "leaf": "leaf { name whole shout }",
        "maybe_leaf": "maybeLeaf { name whole }",
        "leaves": "leaves { name whole } laterLeaves { name }",
        "maybe_leaves": "maybeLeaves { __typename whole }",
        "branch": "branch { name fails leaf { id } }",
        "branches": "branches { name leaf { id } }",
        "box": "box { label inside { name } }",
        "boxes": "boxes { label inside }",
        "named": f"named {THING}",
        "choosy": "choosy { name whole }",
        "thing": f"thing {THING}",
        "things": f"things {THING}",
    },
}
"""The selections that read each attribute."""
SCHEMA = kinds()
AWAITABLE: Any = optimized_is_awaitable
STOCK, BY_COLUMN = StrawberryGraphQLCoreExecutionContext, ColumnExecutor


def value(_field: str, _name: str, argument: GraphQLArgument) -> str | None:
    """An argument's literal."""
    return {"Int": "2", "Int!": "2", "String!": '"b"', "String": '"a"'}[str(argument.type)]


def seeded(seed: int) -> Random:
    """A reproducible random generator."""
    return Random(seed)  # noqa: S311 - it keeps no secret


def certain_errors(data: Any, errors: Iterable[Any]) -> list[str]:
    """What both executors must have in common, sorted: see `certain_error`.

    Fields are resolved concurrently: which of several errors comes first, and ends the others, is undefined.
    """
    return sorted({certain_error(data, error) for error in errors})


def certain_error(data: Any, error: dict[str, Any]) -> str:
    """The error as JSON; where the error made a value above its own null, only the path of that value."""
    path = error.get("path") or []
    for depth, step in enumerate(path):
        if data is None:
            return str(path[:depth])
        data = data[step]
    return orjson.dumps(error, default=repr).decode()


def encoded(result: ExecutionResult) -> bytes:
    """A result as JSON, with `certain_errors` of its errors."""
    errors = certain_errors(result.data, [error.formatted for error in result.errors or ()])
    return orjson.dumps([result.data, errors], default=lambda value: type(value).__name__)


async def run(
    executor: type[Executor[Any]], parsed: DocumentNode, variables: dict[str, Any], values: Values
) -> bytes:
    """The encoded result of one executor."""
    result = execute(
        SCHEMA,
        parsed,
        context_value=values,
        variable_values=variables,
        executor_class=executor,
        is_awaitable=AWAITABLE,
    )
    return encoded(await await_maybe(result))


async def both(document: str, variables: dict[str, Any], values: Values) -> list[bytes]:
    """The results of both executors, with the notes that mutations made."""
    parsed, results = parse(document), []
    for executor in (STOCK, BY_COLUMN):
        values.notes.clear()
        values.operation = OperationState()
        results.append(await run(executor, parsed, variables, values) + str(values.notes).encode())
    return results


async def events(
    executor: type[Executor[Any]], document: str, variables: dict[str, Any], values: Values
) -> Any:
    """The results of a subscription by one executor."""
    stream: Any = await await_maybe(
        subscribe(
            SCHEMA,
            parse(document),
            context_value=values,
            variable_values=variables,
            executor_class=executor,
        )
    )
    return (
        [encoded(stream)]
        if isinstance(stream, ExecutionResult)
        else [encoded(result) async for result in stream]
    )


async def test_both_executors_complete_any_attribute_value_alike() -> None:
    values = Values(seeded(SEED), 0)
    for owner, path in ((values.leaves[0], "listed {{ {} }}"), (values.root, "there {{ {} }}")):
        for name, selection in SELECTIONS[type(owner)].items():
            document = "{ " + path.format(f"name {selection}") + " }"
            assert not validate(SCHEMA, parse(document)), document
            right = getattr(owner, name)
            for given in [*BAD, *NEAR.get(name, ()), *GOOD.get(name, ()), *values.strange(right)]:
                setattr(owner, name, given)
                stock, by_column = await both(document, {}, values)
                assert by_column == stock, (document, given)
            setattr(owner, name, right)


async def test_both_executors_execute_random_documents_alike() -> None:
    for seed in range(SEED, SEED + COUNT):
        random = seeded(seed)
        values, queries = Values(random, random.choice([0, 0.02, 0.1])), Queries(SCHEMA, random, value)
        for _ in range(25):
            document, variables = queries.document(random.choice(OPERATIONS))
            stock, by_column = await both(document, variables, values)
            assert by_column == stock, (seed, document, variables)


async def test_random_documents_are_valid() -> None:
    queries = Queries(SCHEMA, seeded(SEED), value)
    for _ in range(50):
        document, _ = queries.document()
        assert not validate(SCHEMA, parse(document)), document


async def test_both_executors_send_the_same_events() -> None:
    for seed in range(SEED, SEED + 5 * COUNT):
        random = seeded(seed)
        values, queries = Values(random, random.choice([0, 0.1])), Queries(SCHEMA, random, value)
        document, variables = queries.document(OperationType.SUBSCRIPTION)
        stock, by_column = [
            await events(executor, document, variables, values) for executor in (STOCK, BY_COLUMN)
        ]
        assert by_column == stock, (seed, document, variables)


@pytest.mark.parametrize(
    "selection", ["met { name }", 'met(key: "b") { name }', "own { name soon }", "own { name } met { whole }"]
)
async def test_keys_of_many_objects_are_read_with_one_call(
    selection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    async def counted(values: Values, keys: list[str]) -> dict[str, Any]:
        calls.append(" ".join(keys))
        return dict.fromkeys(keys, values.leaves[0])

    monkeypatch.setattr(module, "found", counted)
    values = Values(seeded(1), 0)
    document = parse(f"{{ there {{ branches {{ {selection} branches {{ {selection} }} }} }} }}")
    for executor in (STOCK, BY_COLUMN):
        calls.clear()
        values.operation = OperationState()
        assert b"[]" in await run(executor, document, {}, values)
        assert 0 < len(calls) <= 2 * selection.count("{"), calls  # on two levels
        assert len(set(calls)) == len(calls), calls


async def test_middleware_applies_to_attributes_too() -> None:
    def twice(resolve: Any, *args: Any, **arguments: Any) -> Any:
        found = resolve(*args, **arguments)
        return found * 2 if isinstance(found, str) else found

    document = parse("{ here { leaf { id } leaves { id } } }")
    values = Values(seeded(SEED), 0)
    values.root.leaves = values.leaves
    for executor in (STOCK, BY_COLUMN):
        found = execute(SCHEMA, document, context_value=values, executor_class=executor, middleware=[twice])
        assert isinstance(found, ExecutionResult)
        assert found.data
        assert found.data["here"]["leaf"] == {"id": "id_1id_1"}
        assert set(map(str, found.data["here"]["leaves"])) == {"{'id': 'id_1id_1'}"}


def argument_values(sample: SampleData, random: Random) -> Value:
    """Arguments with ids of a user's objects."""
    ids = list(sample.ids.values())

    def given(field: str, name: str, _: GraphQLArgument) -> str | None:
        own = sample.ids.get(f"{field[0].upper()}{field[1:]}", random.choice(ids))
        known = {"id": f'"{own}"', "ids": f'["{own}", "{random.choice(ids)}"]', "first": "2", "lines": "3"}
        return known.get(name)

    return given


async def result(api: Api, document: str, variables: dict[str, Any]) -> tuple[Any, list[str]]:
    """The data of the application's response, and `certain_errors` of its errors."""
    found = await api.raw(document, **variables)
    data = found.get("data")
    return data, certain_errors(data, found.get("errors", ()))


async def test_both_executors_return_the_same_with_the_real_schema_and_data(
    api: Api, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = seeded(SEED)
    own = argument_values(await create_sample_data(services, api), random)
    queries = Queries(schema._schema, random, own, depth=6, size=40, without=frozenset({"ticket", "health"}))
    api.rest.headers["x-request-id"] = "the-same"
    with_data = 0
    for _ in range(COUNT // 2):
        document, variables = queries.document()
        by_column = await result(api, document, variables)
        with monkeypatch.context() as patched:
            patched.setattr(connections, "required_attributes", lambda *_: None)
            whole = await result(api, document, variables)
            patched.setattr(schema, "execution_context_class", STOCK)
            stock = await result(api, document, variables)
        assert by_column == whole == stock, (document, variables)
        with_data += by_column[0] is not None
    assert with_data > COUNT / 4


async def test_the_stock_executor_can_be_selected() -> None:
    assert schema_with_executor(by_column=False).execution_context_class is STOCK
    assert issubclass(schema_with_executor(by_column=True).execution_context_class, BY_COLUMN)
