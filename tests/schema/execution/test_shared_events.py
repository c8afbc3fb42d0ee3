"""An event is executed once for all subscribers with one selection, and for each where results may differ."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
import strawberry
from strawberry.types import ExecutionResult

from domain.job_events import Checkpoint, LogLine, Metric, Progress
from domain.services import Services
from domain.training_points import TrainingPoint
from schema.engine import Schema
from schema.execution import encode_json
from schema.execution._shared_events import MAX_RESULTS, SharedEvent, SharingExecutor
from schema.http._responses import response_body
from schema.root import schema_with_executor
from schema.shared.context import GraphQLContext
from tests.clients import Api
from tests.jobs import queued_job, record_events, start_job, succeed

pytestmark = pytest.mark.anyio

ViewerInfo = strawberry.Info[str, None]


@strawberry.type
class Plain(SharedEvent):
    """An event of attributes alone."""

    number: int
    text: str


@strawberry.type
class Own(SharedEvent):
    """An event with fields that depend on the viewer or on an argument."""

    number: int

    @strawberry.field
    def viewer(self, info: ViewerInfo) -> str:
        """The viewer, as the context names it."""
        return info.context

    @strawberry.field
    def times(self, by: int) -> int:
        """The number, multiplied."""
        return self.number * by


@strawberry.type
class Query:
    """The root type that every schema must have."""

    nothing: int = 0


@strawberry.type
class Subscription:
    """One event, the same object for all subscribers."""

    @strawberry.subscription
    async def happens(self) -> AsyncGenerator[Plain | Own, None]:
        """The current event."""
        yield happening[0]


@pytest.fixture(scope="module")
def small() -> Schema:
    """A schema with events of both kinds."""
    return Schema(Query, subscription=Subscription, execution_context_class=SharingExecutor)


happening: list[Plain | Own] = []


@pytest.fixture
def plain() -> Plain:
    """The current event, of a type whose results are shared."""
    happening[:] = [event := Plain(number=1, text="a")]
    return event


@pytest.fixture
def own() -> Own:
    """The current event, of a type whose results are not shared."""
    happening[:] = [event := Own(number=1)]
    return event


async def result(schema: Schema, query: str, viewer: str = "", /, **variables: Any) -> ExecutionResult:
    """The first result of a subscription."""
    async with aclosing(await schema.stream(query, variables, viewer)) as results:
        first = await anext(results)
    assert isinstance(first, ExecutionResult)
    return first


def sent(result: ExecutionResult) -> Any:
    """The body of a result, decoded as by a client."""
    return orjson.loads(encode_json(response_body(result)))


ALL = "subscription { happens { __typename ... on Plain { number text } } }"


async def test_an_event_of_attributes_is_executed_once_for_all_subscribers(
    small: Schema, plain: Plain
) -> None:
    one, other = await result(small, ALL, "one"), await result(small, ALL, "other")
    assert one.data is other.data
    plain.text = "changed, which no event does"
    body = sent(await result(small, ALL))
    assert body == {
        "data": {"happens": {"__typename": "Plain", "number": 1, "text": "a"}},
        "extensions": {"cost": 1},
    }


QUESTIONS: list[tuple[str, dict[str, bool], Any]] = [
    (
        "subscription { happens { ... on Plain { number text } } }",
        {},
        {"happens": {"number": 1, "text": "a"}},
    ),
    ("subscription { renamed: happens { ... on Plain { text } } }", {}, {"renamed": {"text": "a"}}),
    (
        "subscription { happens { ...Selected } } fragment Selected on Plain { text }",
        {},
        {"happens": {"text": "a"}},
    ),
    (
        "subscription { happens { ...Selected } } fragment Selected on Plain { number }",
        {},
        {"happens": {"number": 1}},
    ),
]
DECIDED = """subscription($yes: Boolean! = true, $no: Boolean! = false)
  { happens { ... on Plain { number @skip(if: $no) text @include(if: $yes) } } }"""
DECISIONS: list[tuple[str, dict[str, bool], Any]] = [
    (DECIDED, {}, {"happens": {"number": 1, "text": "a"}}),
    (DECIDED, {"yes": False}, {"happens": {"number": 1}}),
    (DECIDED, {"no": True}, {"happens": {"text": "a"}}),
]


@pytest.mark.parametrize("cases", [QUESTIONS, DECISIONS])
async def test_different_selections_have_different_results(
    small: Schema, plain: Plain, cases: list[tuple[str, dict[str, bool], Any]]
) -> None:
    for _ in range(2):
        for query, variables, expected in cases:
            assert sent(await result(small, query, "", **variables))["data"] == expected
    assert len(plain.results) == len(cases)


async def test_results_that_depend_on_the_viewer_are_not_shared(small: Schema, own: Own) -> None:
    query = "subscription { happens { ... on Own { number viewer } } }"
    found = [
        sent(await result(small, query, viewer))["data"]["happens"]["viewer"] for viewer in ("one", "other")
    ]
    assert found == ["one", "other"]
    assert not own.results


async def test_results_that_depend_on_an_argument_are_not_shared(small: Schema, own: Own) -> None:
    query = "subscription($by: Int!) { happens { ... on Own { times(by: $by) } } }"
    found = [sent(await result(small, query, by=by))["data"]["happens"]["times"] for by in (2, 3)]
    assert found == [2, 3]
    assert not own.results


async def test_errors_are_not_shared(small: Schema, plain: Plain) -> None:
    plain.text = None  # type: ignore[assignment]
    one, other = await result(small, ALL), await result(small, ALL)
    assert one.errors
    assert other.errors
    assert one.errors[0] is not other.errors[0]
    assert not plain.results


async def test_an_event_caches_few_results(small: Schema, plain: Plain) -> None:
    for number in range(3 * MAX_RESULTS):
        await result(small, f"subscription {{ happens {{ ... on Plain {{ alias{number}: text }} }} }}")
        assert 1 <= len(plain.results) <= MAX_RESULTS


EVERYTHING = """subscription($id: ID!) { jobEvents(jobId: $id) { __typename cursor at
  ... on StatusEvent { status error } ... on ProgressEvent { progress message } ... on CheckpointEvent { step path }
  ... on LogEvent { line } ... on MetricEvent { point { step epoch trainLoss evalLoss at } } } }"""


async def test_shared_results_equal_those_of_the_stock_executor(api: Api, services: Services) -> None:
    job = await start_job(services, (await queued_job(api, services)).id)
    point = TrainingPoint(step=1, epoch=0.5, train_loss=1.25, at=datetime.now(UTC))
    await record_events(
        services, job, Progress(0.5, "half"), LogLine("a “line”"), Checkpoint(7, "c-7"), Metric(point, 2)
    )
    await succeed(services, job)

    async def all_of(*, by_column: bool) -> list[Any]:
        viewer = GraphQLContext(services=services, viewer=api.user_id, base_url="http://x", streams=True)
        stream: Any = await schema_with_executor(by_column=by_column).stream(
            EVERYTHING, {"id": job.id}, viewer
        )
        return [sent(result) async for result in stream]

    stock, *by_column = await asyncio.gather(
        all_of(by_column=False), *(all_of(by_column=True) for _ in range(3))
    )
    assert len(stock) == 7
    assert [results == stock for results in by_column] == [True] * 3
