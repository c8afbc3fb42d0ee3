"""Items in bulk: added by COPY, and recomputed by statements over the whole dataset."""

import json
from collections.abc import AsyncIterator, Mapping
from functools import lru_cache
from typing import Any, cast
from uuid import UUID

import psycopg
from psycopg import sql
from pydantic import TypeAdapter
from sqlalchemy import (
    ColumnElement,
    Select,
    Subquery,
    and_,
    case,
    func,
    literal_column,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession

from domain import ids
from domain.datasets import Dataset
from domain.item_problems import Problem
from domain.items import Item
from domain.splits import MIN_ITEMS_TO_HOLD_OUT, Split
from infra.db.engine import driver_connection
from infra.db.tables import datasets, items

COLUMNS = tuple(column.name for column in items.c if column.computed is None)
NO_PROBLEMS: ColumnElement[Any] = literal_column("'[]'::jsonb")
READ_COLUMNS = tuple(column for column in items.c if column is not items.c.search_text)
"""What a row is read with: the text that is searched in is as long as the values, and none needs it."""
ACTIVE: ColumnElement[bool] = and_(~items.c.deleted, items.c.corrected_by_id.is_(None))
VALID: ColumnElement[bool] = and_(ACTIVE, items.c.is_valid)

PROBLEMS = TypeAdapter(tuple[Problem, ...])

ANALYZE_FROM = 1_000
"""So many new items make the table's statistics stale."""

COPY = sql.SQL("copy incoming_items ({}) from stdin").format(sql.SQL(", ").join(map(sql.Identifier, COLUMNS)))
INSERT = sql.SQL(
    "insert into items ({0}) select {0} from incoming_items on conflict (dataset_id, key) do nothing"
).format(sql.SQL(", ").join(map(sql.Identifier, COLUMNS)))


def values_of(item: Item) -> dict[str, Any]:
    """An item's columns."""
    source = item.source
    return {
        "id": item.id,
        "dataset_id": item.dataset_id,
        "position": item.position,
        "key": item.key,
        "values": list(item.values),
        "corrects_id": item.corrects_id,
        "corrected_by_id": item.corrected_by_id,
        "deleted": item.deleted,
        "split": item.split,
        "problems": _stored(item, is_warning=False),
        "warnings": _stored(item, is_warning=True),
        "is_duplicate": item.is_duplicate,
        "is_near_duplicate": item.is_near_duplicate,
        "is_contradiction": item.is_contradiction,
        "token_count": item.token_count,
        "origin": item.origin,
        "document_id": source.document_id if source else None,
        "source_document": source.source_document if source else None,
        "source_start": source.start if source else None,
        "source_end": source.end if source else None,
        "generate_model": item.generate_model,
        "generation_time_seconds": item.generation_time_seconds,
        "search_text": item.search_text,
        "digest": item.digest,
        "fingerprint": item.fingerprint,
        "input_fingerprint": item.input_fingerprint,
        "output_fingerprint": item.output_fingerprint,
        "score": item.score,
        "created_at": item.created_at,
    }


def _stored(item: Item, *, is_warning: bool) -> Any:
    """The warnings or the errors of an item, as JSON."""
    if not item.problems:
        return []
    chosen = tuple(problem for problem in item.problems if problem.is_warning is is_warning)
    return PROBLEMS.dump_python(chosen, mode="json")


def problems_of_row(row: Mapping[str, Any]) -> tuple[Problem, ...]:
    """The warnings and errors of an item, from its row."""
    stored = [*row["warnings"], *row["problems"]]
    return PROBLEMS.validate_python(stored) if stored else ()


@lru_cache(maxsize=1_000)
def _uuid(id: str | None, prefix: str) -> UUID | None:
    return None if id is None else ids.uuid_of(id, prefix)


def _copy_row(item: Item) -> list[Any]:
    """An item's columns as COPY reads them."""
    values = values_of(item)
    values |= {
        "id": ids.uuid_of(item.id, "item"),
        "dataset_id": _uuid(item.dataset_id, "ds"),
        "document_id": _uuid(values["document_id"], "doc"),
        "corrects_id": _uuid(item.corrects_id, "item"),
        "corrected_by_id": _uuid(item.corrected_by_id, "item"),
        "split": item.split.value,
        "origin": item.origin.value,
        "problems": json.dumps(values["problems"]) if item.problems else "[]",
        "warnings": json.dumps(values["warnings"]) if item.problems else "[]",
    }
    return [values[name] for name in COLUMNS]


async def add_many(session: AsyncSession, incoming: AsyncIterator[Item]) -> int:
    """Add items, except those whose key exists already; returns how many were added.

    They are copied into a temporary table first: while they arrive no row that others need is locked, and memory holds
    one buffer of them.
    """
    await session.execute(text("set local statement_timeout = 0"))
    connection = cast("psycopg.AsyncConnection[Any]", await driver_connection(session))
    async with connection.cursor() as cursor:
        await cursor.execute("create temporary table incoming_items (like items) on commit drop")
        async with cursor.copy(COPY) as copy:
            async for item in incoming:
                await copy.write_row(_copy_row(item))
        await cursor.execute(INSERT)
        added = cursor.rowcount
        await cursor.execute("drop table incoming_items")
        if added >= ANALYZE_FROM:  # else the planner takes the dataset for a small one until autovacuum runs
            await cursor.execute("analyze items")
    return added


async def recompute(session: AsyncSession, dataset: Dataset) -> None:
    """Update flags and splits; only rows that change are written."""
    await session.execute(_set_flags(dataset.id))
    holds_out = await _count_valid(session, dataset.id) >= MIN_ITEMS_TO_HOLD_OUT
    if holds_out is dataset.holds_out:
        return
    await session.execute(update(datasets).where(datasets.c.id == dataset.id).values(holds_out=holds_out))
    await session.execute(_split(dataset, holds_out=holds_out))


FLAGS = (items.c.is_duplicate, items.c.is_near_duplicate, items.c.is_contradiction)


def _set_flags(dataset_id: str) -> Any:
    """Write the flags of `domain.items.Items.recompute` where they change."""
    flagged = _flagged(_with_duplicates(dataset_id).subquery("compared")).subquery("flagged")
    changed = or_(*(flag != flagged.c[flag.name] for flag in FLAGS))
    return (
        update(items)
        .values({flag: flagged.c[flag.name] for flag in FLAGS})
        .where(items.c.id == flagged.c.id, changed)
    )


def _with_duplicates(dataset_id: str) -> Select[Any]:
    """The items that share a fingerprint with another one, whether they are duplicates, and whether they are compared.

    An item that shares none has no flag, and never had one: rows are neither removed nor given other values.
    """
    in_dataset = items.c.dataset_id == dataset_id
    is_counted = and_(ACTIVE, items.c.problems == NO_PROBLEMS)
    occurrence = func.row_number().over(
        partition_by=[items.c.input_fingerprint, items.c.output_fingerprint, is_counted],
        order_by=[items.c.position, items.c.id],
    )
    return select(
        items.c.id,
        items.c.position,
        items.c.fingerprint,
        items.c.input_fingerprint,
        and_(is_counted, occurrence > 1).label("is_duplicate"),
        and_(is_counted, occurrence == 1).label("is_compared"),
    ).where(
        in_dataset,
        or_(
            items.c.fingerprint.in_(_repeated(items.c.fingerprint, in_dataset)),
            items.c.input_fingerprint.in_(_repeated(items.c.input_fingerprint, in_dataset)),
        ),
    )


def _repeated(fingerprint: ColumnElement[bytes], condition: ColumnElement[bool]) -> Select[Any]:
    return select(fingerprint).where(condition).group_by(fingerprint).having(func.count() > 1)


def _flagged(compared: Subquery) -> Select[Any]:
    """All flags of items; outputs to one input differ where the first and the last fingerprint of them do."""
    occurrence = func.row_number().over(
        partition_by=[compared.c.fingerprint, compared.c.is_compared],
        order_by=[compared.c.position, compared.c.id],
    )
    of_input: dict[str, Any] = {
        "partition_by": [compared.c.input_fingerprint, compared.c.is_compared],
        "order_by": compared.c.fingerprint,
        "rows": (None, None),
    }
    differs = func.first_value(compared.c.fingerprint).over(**of_input) != func.last_value(
        compared.c.fingerprint
    ).over(**of_input)
    return select(
        compared.c.id,
        compared.c.is_duplicate,
        and_(compared.c.is_compared, occurrence > 1).label("is_near_duplicate"),
        and_(compared.c.is_compared, differs).label("is_contradiction"),
    )


async def _count_valid(session: AsyncSession, dataset_id: str) -> int:
    """How many items are active and valid, counted no further than `MIN_ITEMS_TO_HOLD_OUT`."""
    first = select(items.c.id).where(items.c.dataset_id == dataset_id, VALID).limit(MIN_ITEMS_TO_HOLD_OUT)
    return await session.scalar(select(func.count()).select_from(first.subquery())) or 0


def _split(dataset: Dataset, *, holds_out: bool) -> Any:
    """Assign every item to its split, the inactive ones too: they may be restored."""
    target: Any = Split.TRAIN.value
    if holds_out:
        target = case((items.c.score >= dataset.train_share, Split.EVAL.value), else_=Split.TRAIN.value)
    return update(items).values(split=target).where(items.c.dataset_id == dataset.id, items.c.split != target)


PLAIN_FIELDS = tuple(
    name
    for name in COLUMNS
    if not name.startswith(("source_", "document_", "warnings")) and name != "search_text"
)


def plain_fields(row: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an item that are columns, from a row."""
    return {name: row[name] for name in PLAIN_FIELDS}
