"""Tables: rows of CSV and JSON Lines files, and errors in them."""

import csv
import io
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.documents import TablePreview
from domain.errors import Invalid
from domain.files import tables, text_files
from domain.files.csv_writer import BOM, csv_line
from domain.files.encoding_detection import detect_encoding
from domain.files.tables import Table, open_table
from domain.formulas import without_guards
from domain.import_formats import ImportFormat
from domain.item_problems import Problem, ProblemCode
from domain.items import TableRow
from infra.encoding import guess_encodings

OpenTable = Callable[..., Table]
CSV, JSONL = ImportFormat.CSV, ImportFormat.JSONL


@pytest.fixture
def open_content(tmp_path: Path) -> OpenTable:
    def write_and_open(content: str | bytes, format: ImportFormat = CSV) -> Table:
        path = tmp_path / "table"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return open_table(path, detect_encoding(path, guess_encodings).name, format)

    return write_and_open


def error_of(open_content: OpenTable, content: str | bytes, format: ImportFormat = CSV) -> Invalid:
    with pytest.raises(Invalid) as refused:
        open_content(content, format).preview()
    return refused.value


def headers_of(table: Table) -> tuple[str, ...]:
    return table.preview().headers


def values_of(table: Table) -> list[tuple[str, ...]]:
    """All rows, each with its values of every column."""
    return [row.values for row in table.rows(headers_of(table))]


def test_rows_come_with_the_line_on_which_they_begin(open_content: OpenTable) -> None:
    table = open_content('q,a\r\nfirst,"two\r\nlines"\r\n\r\nthird,"a ""quoted"" word"\r\n')
    assert headers_of(table) == ("q", "a")
    assert list(table.rows(["q", "a"])) == [
        TableRow(2, ("first", "two\r\nlines")),
        TableRow(5, ("third", 'a "quoted" word')),
    ]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_every_line_ending_is_one(open_content: OpenTable, ending: str) -> None:
    table = open_content(ending.join(["q,a", "1,2", "3,4"]))
    assert values_of(table) == [("1", "2"), ("3", "4")]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_the_one_that_the_rows_agree_on(open_content: OpenTable, delimiter: str) -> None:
    lines = ["frage, kurz", "antwort"], ["Was kostet 1,5 l; ungefähr?", "2,30"], ["a|b", "c"]
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(lines)
    assert headers_of(open_content(text.getvalue())) == ("frage, kurz", "antwort")


def test_excels_line_that_names_the_delimiter_is_not_a_row(open_content: OpenTable) -> None:
    table = open_content("sep=;\nq;a\n1,2;3,4\n")
    assert (headers_of(table), values_of(table)) == (("q", "a"), [("1,2", "3,4")])


def test_a_single_column_is_a_table(open_content: OpenTable) -> None:
    assert open_content("text\none, two\nthree\n").preview().row_count == 2


def test_a_row_may_leave_out_its_last_values_and_has_a_problem_with_too_many(open_content: OpenTable) -> None:
    rows = list(open_content("a,b,c\n1,2,3\n1,2\n1,2,3,4\n1,2,3,,\n").rows(["a", "b", "c"]))
    message = "Line 4 has 4 values, but the header has 3 fields."
    assert rows == [
        TableRow(2, ("1", "2", "3")),
        TableRow(3, ("1", "2", "")),
        TableRow(4, ("1", "2", "3"), (Problem(ProblemCode.JSON_INVALID, message),)),
        TableRow(5, ("1", "2", "3")),
    ]


def test_a_preview_has_the_first_ten_rows_and_counts_all(open_content: OpenTable) -> None:
    lines = "".join(f"q{number},{'x' * 3000 if number == 1 else 'a'}\n" for number in range(25))
    found = open_content("q,a\n" + lines).preview()
    assert (found.headers, found.row_count, found.column_count, len(found.rows)) == (("q", "a"), 25, 2, 10)
    assert found.rows[0] == ("q0", "a")
    assert found.rows[1][1] == "x" * 2000 + "…"


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"]
)
def test_common_encodings_are_read(open_content: OpenTable, encoding: str) -> None:
    text = "Frage;Antwort\n" + "Wie heißt die größte Straße Kölns?;Weiß ich nicht, für später\n" * 9
    table = open_content(text.encode(encoding))
    assert headers_of(table) == ("Frage", "Antwort")
    assert next(table.rows(["Frage"])).values == ("Wie heißt die größte Straße Kölns?",)


@pytest.mark.parametrize(
    ("content", "reason", "words"),
    [
        (b"", "FILE_EMPTY", "is empty"),
        (b"\n \n", "FILE_EMPTY", "is empty"),
        (b"q,a\n", "TABLE_EMPTY", "no rows"),
        (
            b"My export;;\r\n;;\r\nq;a;t\r\na;b;c\r\n",
            "TITLE_ABOVE_HEADER",
            "one value, but the lines below have 3",
        ),
        (b"All questions\nq,a\n1,2\n3,4\n", "TITLE_ABOVE_HEADER", "a title stands above the header"),
        (b"'q','a'\n'1','2'\n", "UNSUPPORTED_QUOTES", "between apostrophes"),
        (b'q,"a\n1,2\n', "NOT_A_TABLE", "header cannot be read. The quoted value that begins on line 1"),
        ((",".join(map(str, range(1_001))) + "\n1\n").encode(), "NOT_A_TABLE", "1,001 columns"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "NOT_A_TABLE", "binary"),
        (b"PK\x03\x04 xlsx", "NOT_A_TABLE", "binary"),
        (bytes(random.Random(1).randbytes(4000)), "NOT_A_TABLE", "binary"),  # noqa: S311
        ("q,é\nä,ü\nö,".encode() + b"\xff\n", "NOT_A_TABLE", "position 14"),
        (b'q,a\n1,"' + b"x" * 1_000_001 + b'"', "VALUE_TOO_LONG", "line 2"),
        ("q,a\n".encode("utf-16") + b"1", "NOT_A_TABLE", "inside a character"),
    ],
)
def test_a_file_that_is_not_a_table_is_refused_with_a_reason(
    open_content: OpenTable, content: bytes, reason: str, words: str
) -> None:
    error = error_of(open_content, content)
    assert error.reason == reason
    assert words in error.message


def test_an_invalid_byte_far_into_the_file_is_named_by_its_position(open_content: OpenTable) -> None:
    start = b"q,a\n" + "eine Frage,schön\n".encode() * 20_000
    assert f"position {len(start):,} " in error_of(open_content, start + b"\xe9,x\n").message


def test_a_line_that_is_too_long_is_refused(open_content: OpenTable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_files, "LINE_LIMIT", 100)
    assert "Line 2 has more than 100" in error_of(open_content, "q,a\n1," + "x" * 200).message


@pytest.mark.parametrize(
    ("content", "headers", "rows"),
    [
        (",q,a\n0,x,y\n", ("", "q", "a"), [("0", "x", "y")]),  # as pandas writes its index
        (",text\n0,hello\n1,bye\n", ("", "text"), [("0", "hello"), ("1", "bye")]),
        ("q,a,,\nx,y,,\n", ("q", "a"), [("x", "y")]),
        ("q,a,a\nx,y,z\n", ("q", "a", "a"), [("x", "y", "y")]),
        (f"q,a,{'n' * 300}\nx,y,z\n", ("q", "a", "n" * 300), [("x", "y", "z")]),
        ("\ufeff\ufeffq,a\nx,y\n\ufeffv,w\n", ("q", "a"), [("x", "y"), ("v", "w")]),
        ('\ufeff"q","a"\n\ufeff"x","y"\n', ("q", "a"), [("x", "y")]),
    ],
)
def test_a_header_is_taken_as_it_is(
    open_content: OpenTable, content: str, headers: tuple[str, ...], rows: list[tuple[str, ...]]
) -> None:
    table = open_content(content)
    assert (headers_of(table), values_of(table)) == (headers, rows)


def test_an_unquoted_value_may_not_be_longer_than_another(open_content: OpenTable) -> None:
    rows = list(open_content(f"q,a\nx,{'y' * 1_000_001}\nv,w\n").rows(["q", "a"]))
    assert [row.values for row in rows] == [("", ""), ("v", "w")]
    assert rows[0].problems[0].message == "A value on line 2 has more than 1,000,000 characters."


def test_a_preview_of_many_columns_shows_less_of_each_value(open_content: OpenTable) -> None:
    lines = [",".join(f"c{number}" for number in range(1_000)), *[",".join(["x" * 500] * 1_000)] * 10]
    found = open_content("\n".join(lines)).preview()
    assert sum(len(value) for row in found.rows for value in row) < 250_000


@pytest.mark.parametrize(
    ("limit", "content", "words"),
    [
        ("MAX_HEADER_CHARS", "q,a\n1,2\n", "header has more than 1 characters"),
        ("MAX_HEADER_CHARS", '{"q": 1, "a": 2}\n', "header has more than 1 characters"),
        ("MAX_ROWS", "q,a\n1,2\n3,4\n", "more than 1 rows"),
        ("MAX_ROWS", '{"q": 1}\n{"q": 2}\n', "more than 1 rows"),
    ],
)
def test_a_table_has_limits(
    open_content: OpenTable, monkeypatch: pytest.MonkeyPatch, limit: str, content: str, words: str
) -> None:
    monkeypatch.setattr(tables, limit, 1)
    assert words in error_of(open_content, content).message


def test_a_quoted_header_may_be_longer_than_what_is_looked_at(open_content: OpenTable) -> None:
    name = "q" * 70_000
    assert headers_of(open_content(f'"{name}",a\n1,2\n')) == (name, "a")


def test_a_long_line_of_json_lines_is_no_array(open_content: OpenTable) -> None:
    first = json.dumps({"q": [1] * 30_000, "a": "x"})
    rows = list(open_content(f'{first}\nnonsense\n{{"q": "1", "a": "2"}}\n', JSONL).rows(["a"]))
    assert [row.values for row in rows] == [("x",), ("",), ("2",)]


def test_utf_16_without_a_mark_says_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "table"
    path.write_bytes(b"q,a\n1,2\n")
    with pytest.raises(Invalid, match="does not begin with a byte order mark"):
        open_table(path, "utf-16", CSV).preview()


def test_a_header_may_have_hundreds_of_columns(open_content: OpenTable) -> None:
    names = [f"c{number}" for number in range(400)]
    table = open_content(",".join(names) + "\n" + ",".join(names) + "\n")
    assert list(table.rows(["c399", "c0"])) == [TableRow(2, ("c399", "c0"))]


def test_json_values_are_text_and_keep_that_of_the_file(open_content: OpenTable) -> None:
    text = '{"q": "é", "a": 19.90, "b": 1e400}\n\n{"a": {"b": [true, 1.0]}, "c": null, "q": false}\n'
    table = open_content(text, JSONL)
    assert headers_of(table) == ("q", "a", "b", "c")
    warning = Problem(
        ProblemCode.NOT_TEXT,
        "Line 3: the field 'a' is an object or a list; its JSON is taken as the text.",
        is_warning=True,
    )
    assert list(table.rows(["q", "a", "b", "c"])) == [
        TableRow(1, ("é", "19.90", "1e400", "")),
        TableRow(3, ("false", '{"b": [true, 1.0]}', "", ""), (warning,)),
    ]


def test_a_nested_value_that_is_not_selected_has_no_warning(open_content: OpenTable) -> None:
    table = open_content('{"q": "1", "a": "2", "meta": {"id": 7}}\n', JSONL)
    assert list(table.rows(["q", "a"])) == [TableRow(1, ("1", "2"))]


def test_a_field_that_first_comes_late_is_a_header(open_content: OpenTable) -> None:
    lines = [json.dumps({"q": f"q{number}", "a": "b"}) for number in range(5_000)]
    table = open_content("\n".join([*lines, '{"q": "last", "a": "b", "reasoning": "r"}']), JSONL)
    assert headers_of(table) == ("q", "a", "reasoning")
    rows = list(table.rows(["q", "reasoning"]))
    assert (rows[0].values, rows[-1].values) == (("q0", ""), ("last", "r"))


@pytest.mark.parametrize("content", ["q,a\n1,2\n", "[\n]\n", "[]"])
def test_a_file_without_a_json_object_is_not_json_lines(open_content: OpenTable, content: str) -> None:
    assert error_of(open_content, content, JSONL).reason in {"NOT_A_TABLE", "TABLE_EMPTY"}


def test_a_json_value_that_is_too_long_is_a_problem_of_its_row(open_content: OpenTable) -> None:
    text = f'{json.dumps({"q": "x" * 1_000_001})}\n{{"q": "1"}}\n'
    rows = list(open_content(text, JSONL).rows(["q"]))
    assert [row.values for row in rows] == [("",), ("1",)]
    assert rows[0].problems[0].message == "A value on line 1 has more than 1,000,000 characters."


@pytest.mark.parametrize(
    "content",
    [
        '{"q": "1", "a": "2"}\n{"q": "3", "a": "4"}\n',
        '[{"q": "1", "a": "2"}, {"q": "3", "a": "4"}]',
        '[\n  {"q": "1", "a": "2"},\n  {"q": "3", "a": "4"}\n]\n',
        '{\n  "q": "1",\n  "a": "2"\n}\n{\n  "q": "3",\n  "a": "4"\n}\n',
        '{"q": "1",\n "a": "2"}\n{"q": "3",\n "a": "4"}\n',
        '\ufeff\n[{"q":"1","a":"2"},\n{"q":"3","a":"4"}]',
    ],
)
@pytest.mark.parametrize("format", [CSV, JSONL])
def test_json_is_read_by_its_content_whatever_its_name(
    open_content: OpenTable, content: str, format: ImportFormat
) -> None:
    assert values_of(open_content(content, format)) == [("1", "2"), ("3", "4")]


@pytest.mark.parametrize(
    "content",
    [
        "messages,label\nhello there,a\n",
        "instruction,output\ni,o\n",
        "chosen,answer\nc,a\n",
        'text,mails\nx,"[{""from"": ""a"", ""to"": ""b""}]"\n',
    ],
)
def test_a_table_that_only_shares_a_header_with_them_is_not(open_content: OpenTable, content: str) -> None:
    assert open_content(content).preview().row_count == 1


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=30)
LETTERS = st.text(st.sampled_from("ab ,;\t\"'\\\n=-@\ufeff"), max_size=12)
ROWS = st.lists(st.lists(TEXT | LETTERS, min_size=3, max_size=3), min_size=1, max_size=10)


@given(rows=ROWS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=100)
def test_what_a_csv_writer_writes_is_read_back(open_content: OpenTable, rows: list[list[str]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([["a", "b", "c"], *rows])
    assert values_of(open_content(text.getvalue())) == [tuple(row) for row in rows]


@given(rows=ROWS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=100)
def test_our_own_csv_is_read_back(open_content: OpenTable, rows: list[list[str]]) -> None:
    table = open_content(BOM + "".join(map(csv_line, [["a", "b", "c"], *rows])))
    preview: TablePreview = table.preview()
    found = [row.values for row in table.rows(["a", "b", "c"]) if not row.problems]
    if preview.is_guarded:
        found = [tuple(map(without_guards, values)) for values in found]
    assert found == [tuple(row) for row in rows]


@given(rows=st.lists(st.dictionaries(st.sampled_from(["q", "a"]), TEXT, min_size=2), min_size=1, max_size=10))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_json_lines_are_read_back(open_content: OpenTable, rows: list[dict[str, str]]) -> None:
    table = open_content("\n".join(json.dumps(row) for row in rows), JSONL)
    assert [row.values for row in table.rows(["q", "a"])] == [(row["q"], row["a"]) for row in rows]
