"""The schema follows its conventions, and each rule finds a schema that breaks it."""

from collections.abc import Callable, Iterator

import pytest
from graphql import GraphQLSchema, build_schema

from tests.introspection import SCHEMA
from tests.judges import sdl

Rule = Callable[[GraphQLSchema], Iterator[str]]

GOOD = """
interface Node { id: ID! }
type PageInfo { hasNextPage: Boolean! hasPreviousPage: Boolean! startCursor: String endCursor: String }
type UserError { message: String! }
type Shelf implements Node { id: ID! books(first: Int, after: String, last: Int, before: String): BookConnection! }
type Book implements Node { id: ID! title: String! state: State! words: [[String!]!]! }
type BookConnection { edges: [BookEdge!]! nodes: [Book!]! pageInfo: PageInfo! totalCount: Int! }
type BookEdge { cursor: String! node: Book! }
enum State { IN_PRINT OUT_OF_PRINT }
input LendInput { bookId: ID! days: [Int!] }
type LendPayload { userErrors: [UserError!]! book: Book }
type Query { node(id: ID!): Node nodes(ids: [ID!]!): [Node]! }
type Mutation { lend(input: LendInput!): LendPayload! }
"""
"""A schema that follows every rule."""

BROKEN: list[tuple[Rule, str, str, str]] = [
    (sdl.names_have_their_case, "State", "state_of_book", "state_of_book is not PascalCase"),
    (sdl.names_have_their_case, "title:", "full_title:", "Book.full_title is not camelCase"),
    (sdl.names_have_their_case, "days:", "Days:", "LendInput.Days is not camelCase"),
    (sdl.names_have_their_case, "IN_PRINT OUT", "inPrint OUT", "State.inPrint is not UPPER_SNAKE"),
    (
        sdl.input_names_end_in_input_or_filter, "LendInput", "Lending",
        "Lending is an input, but its name does not end in Input or Filter",
    ),
    (
        sdl.mutations_take_one_input, "input: LendInput!", "input: LendInput",
        "Mutation.lend does not take one required `input`",
    ),
    (
        sdl.mutations_take_one_input, "(input: LendInput!)", "(input: LendInput!, days: Int)",
        "Mutation.lend does not take one required `input`",
    ),
    (
        sdl.mutations_return_payloads, "LendPayload! }", "LendPayload }",
        "Mutation.lend gives LendPayload, which is not a required payload",
    ),
    (
        sdl.mutations_return_payloads, "{ userErrors: [UserError!]!", "{ userErrors: [UserError!]",
        "LendPayload has no `userErrors: [UserError!]!`",
    ),
    (
        sdl.mutations_return_payloads, "book: Book }", "book: Book! }",
        "LendPayload.book cannot be null where the mutation is refused",
    ),
    (
        sdl.nodes_follow_relay, "interface Node { id: ID! }", "interface Node { id: ID }",
        "Node is not `interface Node { id: ID! }`",
    ),
    (sdl.nodes_follow_relay, "node(id: ID!): Node ", "", "Query.node is not `(id: ID!): Node`"),
    (
        sdl.nodes_follow_relay, "nodes(ids: [ID!]!)", "nodes(ids: [ID!])",
        "Query.nodes is not `(ids: [ID!]!): [Node]!`",
    ),
    (sdl.types_with_an_id_implement_node, "Book implements Node", "Book", "Book has an `id`, but is no Node"),
    (
        sdl.ids_are_of_type_id, "bookId: ID!", "bookId: String!",
        "LendInput.bookId is called an id, but is String!",
    ),
    (sdl.connections_follow_relay, "nodes: [Book!]! ", "", "BookConnection is not Relay's"),
    (sdl.connections_follow_relay, "cursor: String!", "cursor: String", "BookEdge is not Relay's"),
    (sdl.connections_follow_relay, "hasNextPage: Boolean! ", "", "PageInfo is not Relay's"),
    (
        sdl.connections_page_in_both_directions, ", before: String", "",
        "Shelf.books does not take first, after, last and before",
    ),
    (
        sdl.long_lists_have_pages, "title: String!", "title: String! sequels: [Book!]!",
        "Book.sequels is a list of objects without pages",
    ),
    (sdl.lists_have_no_null_members, "days: [Int!]", "days: [Int]", "LendInput.days is a list that may have holes"),
    (
        sdl.lists_have_no_null_members, "words: [[String!]!]!", "words: [[String]!]!",
        "Book.words is a list that may have holes",
    ),
    (
        sdl.deprecations_name_replacement_and_date, "title: String!", 'title: String! @deprecated(reason: "it is old")',
        "Book.title is deprecated, but not with `use …; removal not before YYYY-MM-DD`",
    ),
    (
        sdl.deprecations_name_replacement_and_date, "IN_PRINT OUT",
        'IN_PRINT @deprecated(reason: "use NEW; removal not before 2027-02-30") OUT',
        "State.IN_PRINT is deprecated, but not with `use …; removal not before YYYY-MM-DD`",
    ),
]  # fmt: skip


@pytest.mark.parametrize("rule", sdl.RULES)
def test_the_schema_follows_the_rule(rule: Rule) -> None:
    assert list(rule(SCHEMA)) == []


@pytest.mark.parametrize("rule", sdl.RULES)
def test_a_schema_that_follows_the_rule_passes(rule: Rule) -> None:
    assert list(rule(build_schema(GOOD))) == []


@pytest.mark.parametrize(("rule", "ours", "broken", "complaint"), BROKEN)
def test_a_violation_of_a_rule_is_reported(rule: Rule, ours: str, broken: str, complaint: str) -> None:
    assert ours in GOOD
    schema = build_schema(GOOD.replace(ours, broken), assume_valid=True)
    assert list(rule(schema)) == [complaint]


def test_every_rule_has_an_example_that_breaks_it() -> None:
    assert {rule for rule, *_ in BROKEN} == set(sdl.RULES)


def test_a_deprecation_with_a_date_follows_the_rule() -> None:
    reason = "use `name`; removal not before 2027-03-01"
    written = GOOD.replace("title: String!", f'name: String! title: String! @deprecated(reason: "{reason}")')
    assert list(sdl.deprecations_name_replacement_and_date(build_schema(written))) == []


def test_every_exception_to_a_rule_exists_in_the_schema() -> None:
    places = {f"{owner}.{name}": field for owner, name, field in sdl.output_fields(SCHEMA)}
    assert [place for place in sdl.SHORT_LISTS if "[" not in str(places[place].type)] == []
    assert [name for name in sdl.NOT_OURS if name not in {name for _, name, _ in sdl.members(SCHEMA)}] == []
