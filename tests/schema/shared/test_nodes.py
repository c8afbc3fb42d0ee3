"""GraphQL types and records are tied by the names of attributes: a name that one of them lacks fails at import."""

from dataclasses import dataclass

import pytest
import strawberry

from domain.ids import Noun
from schema.shared.nodes import NODE_TYPES, Node, convert, converted_from, node


@dataclass(frozen=True, slots=True)
class Record:
    """A book as the domain has it."""

    id: str
    title: str

    @property
    def loud_title(self) -> str:
        return self.title.upper()


@strawberry.type
class Book(Node):
    """A book as the API has it."""

    title: str
    loud_title: str
    page_count: int
    record: strawberry.Private[Record]

    @strawberry.field
    def first_letter(self) -> str:
        return self.record.title[0]


def test_a_field_without_an_attribute_of_its_name_is_refused_and_named() -> None:
    registered = NODE_TYPES[Noun.DATASET]
    for register in (node(Noun.DATASET, Record), converted_from(Record)):
        with pytest.raises(TypeError, match=r"Book\.page_count is no attribute of Record\."):
            register(Book)
    assert NODE_TYPES[Noun.DATASET] is registered


def test_properties_resolvers_private_and_computed_fields_are_no_missing_attributes() -> None:
    assert converted_from(Record, "page_count")(Book) is Book
    record = Record(id="x", title="a title")
    book = convert(Book, record, record=record, page_count=7)
    assert (book.id, book.title, book.loud_title, book.page_count) == ("x", "a title", "A TITLE", 7)
    assert book.record is record
