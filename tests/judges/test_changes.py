"""Released requests keep working: members may be added, and are removed only after a deprecation with a date."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from graphql import build_schema

from tests.introspection import SCHEMA
from tests.judges.changes import breaking_changes

RELEASED = Path(__file__).parents[2] / "schema" / "released.graphql"
ANNOUNCED = '@deprecated(reason: "use `name`; removal not before 2027-03-01")'
BEFORE, AFTER = date(2027, 2, 28), date(2027, 3, 1)
OLD = f"""
interface Node {{ id: ID! }}
type Book implements Node {{ id: ID! name: String title: String {ANNOUNCED} cover: Cover {ANNOUNCED} }}
type Cover implements Node {{ id: ID! colour: Colour! }}
enum Colour {{ RED BLUE {ANNOUNCED} }}
enum State {{ NEW OLD {ANNOUNCED} }}
input BookFilter {{ name: String state: State title: String {ANNOUNCED} }}
type Query {{ node(id: ID!): Node books(first: Int = 20, filter: BookFilter, title: String {ANNOUNCED}): Book pages: Int }}
"""


def test_the_schema_has_no_breaking_change_since_the_release() -> None:
    assert breaking_changes(RELEASED.read_text(), SCHEMA, datetime.now(UTC).date()) == []


def test_an_unchanged_schema_has_no_breaking_change() -> None:
    assert (
        breaking_changes(OLD, build_schema(OLD), BEFORE)
        == breaking_changes(OLD, build_schema(OLD), AFTER)
        == []
    )


@pytest.mark.parametrize(
    ("ours", "changed", "change"),
    [
        ("id: ID! name: String title", "id: ID! title", "Field Book.name was removed."),
        ("name: String title", "name: Int title", "Field Book.name changed type from String to Int."),
        ("first: Int = 20, ", "", "Argument Query.books(first:) was removed."),
        ("first: Int = 20", "first: Int!", "Argument Query.books(first:) has changed type from Int to Int!."),
        ("first: Int = 20", "first: Int = 100", "Query.books(first:) has changed defaultValue from 20 to 100."),
        ("input BookFilter { ", "input BookFilter { day: Int! ", "A required field BookFilter.day was added."),
        ("{ NEW OLD", "{ OLD", "Enum value State.NEW was removed."),
    ],
)  # fmt: skip
def test_a_breaking_change_is_reported(ours: str, changed: str, change: str) -> None:
    assert ours in OLD
    assert breaking_changes(OLD, build_schema(OLD.replace(ours, changed)), AFTER) == [change]


@pytest.mark.parametrize(
    ("ours", "kept", "change"),
    [
        (f"title: String {ANNOUNCED} cover", "cover", "Field Book.title was removed."),
        (f", title: String {ANNOUNCED}", "", "Argument Query.books(title:) was removed."),
        (f" title: String {ANNOUNCED} }}", "}", "Field BookFilter.title was removed."),
        (f"OLD {ANNOUNCED}", "", "Enum value State.OLD was removed."),
    ],
)
def test_a_deprecated_member_may_be_removed_from_its_date_on(ours: str, kept: str, change: str) -> None:
    assert OLD.count(ours) == 1
    now = build_schema(OLD.replace(ours, kept))
    assert breaking_changes(OLD, now, BEFORE) == [change]
    assert breaking_changes(OLD, now, AFTER) == []


def test_a_type_may_be_removed_with_the_last_field_of_it() -> None:
    cover = "type Cover implements Node { id: ID! colour: Colour! }\n"
    colours = f"enum Colour {{ RED BLUE {ANNOUNCED} }}\n"
    now = OLD.replace(f" cover: Cover {ANNOUNCED}", "").replace(cover, "").replace(colours, "")
    assert len(breaking_changes(OLD, build_schema(now), BEFORE)) == 3
    assert breaking_changes(OLD, build_schema(now), AFTER) == []
