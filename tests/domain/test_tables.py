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

from domain.errors import Invalid
from domain.files import tables
from domain.files.tables import Format, Table, open_table, preview, sniff
from domain.items import ProblemCode, TableRow
from infra.encoding import detect

OpenTable = Callable[..., Table]


@pytest.fixture
def open_content(tmp_path: Path) -> OpenTable:
    def write_and_open(content: str | bytes, format: Format = "CSV") -> Table:
        path = tmp_path / "table"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return open_table(path, format, detect_encoding=detect)

    return write_and_open


def error_of(open_content: OpenTable, content: str | bytes, format: Format = "CSV") -> Invalid:
    with pytest.raises(Invalid) as refused:
        preview(open_content(content, format))
    return refused.value


def test_rows_come_with_the_line_on_which_they_begin(open_content: OpenTable) -> None:
    table = open_content('q,a\r\nfirst,"two\r\nlines"\r\n\r\nthird,"a ""quoted"" word"\r\n')
    assert table.headers == ("q", "a")
    assert list(table.rows()) == [
        TableRow(2, {"q": "first", "a": "two\r\nlines"}),
        TableRow(5, {"q": "third", "a": 'a "quoted" word'}),
    ]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_every_line_ending_is_one(open_content: OpenTable, ending: str) -> None:
    table = open_content(ending.join(["q,a", "1,2", "3,4"]))
    assert [row.values for row in table.rows()] == [{"q": "1", "a": "2"}, {"q": "3", "a": "4"}]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_the_one_that_the_rows_agree_on(open_content: OpenTable, delimiter: str) -> None:
    lines = ["frage, kurz", "antwort"], ["Was kostet 1,5 l; ungefähr?", "2,30"], ["a|b", "c"]
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(lines)
    assert open_content(text.getvalue()).headers == ("frage, kurz", "antwort")


def test_excels_line_that_names_the_delimiter_is_not_a_row(open_content: OpenTable) -> None:
    table = open_content("sep=;\nq;a\n1,2;3,4\n")
    assert (table.headers, [row.values for row in table.rows()]) == (("q", "a"), [{"q": "1,2", "a": "3,4"}])


def test_a_single_column_is_a_table(open_content: OpenTable) -> None:
    assert preview(open_content("text\none, two\nthree\n")).row_count == 2


def test_rows_with_too_few_or_too_many_values_have_a_problem_with_their_line(open_content: OpenTable) -> None:
    rows = list(open_content("a,b,c\n1,2,3\n1,2\n1,2,3,4\n1,2,3,,\n").rows())
    assert [[problem.code for problem in row.problems] for row in rows] == [
        [], [ProblemCode.FIELD_MISSING], [ProblemCode.JSON_INVALID], [],
    ]  # fmt: skip
    assert rows[1].problems[0].message == "Line 3 has 2 values, but the header has 3 fields."
    assert rows[2].values == {"a": "1", "b": "2", "c": "3"}


def test_a_preview_has_the_first_ten_rows_and_counts_all(open_content: OpenTable) -> None:
    lines = "".join(f"q{number},{'x' * 3000 if number == 1 else 'a'}\n" for number in range(25))
    found = preview(open_content("q,a\n" + lines))
    assert (found.headers, found.row_count, found.column_count, len(found.rows)) == (("q", "a"), 25, 2, 10)
    assert found.rows[0] == ("q0", "a")
    assert found.rows[1][1] == "x" * 2000 + "…"


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"]
)
def test_common_encodings_are_read(open_content: OpenTable, encoding: str) -> None:
    text = "Frage;Antwort\n" + "Wie heißt die größte Straße Kölns?;Weiß ich nicht, für später\n" * 9
    table = open_content(text.encode(encoding))
    assert table.headers == ("Frage", "Antwort")
    assert next(table.rows()).values["Frage"] == "Wie heißt die größte Straße Kölns?"


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1252", "q,a\ncafé,naïve\n"),
        ("cp1252", "q,a\n10 €,ok\n"),
        ("cp1250", "otázka;odpověď\nPříliš žluťoučký kůň;úpěl ďábelské ódy\n"),
        ("cp1251", "вопрос;ответ\nСтолица Франции?;Париж\n"),  # noqa: RUF001
        ("cp932", "質問;答え\nフランスの首都はどこですか;パリ\n"),
        ("gb18030", "问题,答案\n法国的首都是哪里,巴黎\n"),
    ],
)
def test_legacy_encodings_are_detected_from_a_few_words(encoding: str, text: str) -> None:
    assert text.encode(encoding).decode(detect(text.encode(encoding))) == text


@pytest.mark.parametrize(
    ("content", "reason", "words"),
    [
        (b"", "FILE_EMPTY", "is empty"),
        (b"\n \n", "FILE_EMPTY", "is empty"),
        (b"q,a\n", "TABLE_EMPTY", "no rows"),
        (b"q,q\n1,2\n", "DUPLICATE_FIELD", "'q' is named twice"),
        (b"q,,a\n1,2,3\n", "INVALID_HEADER", "Column 2"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "NOT_A_TABLE", "binary"),
        (b"PK\x03\x04 xlsx", "NOT_A_TABLE", "binary"),
        (bytes(random.Random(1).randbytes(4000)), "NOT_A_TABLE", "binary"),  # noqa: S311
        (b'q,a\n1,"never\nclosed\n', "NOT_A_TABLE", "begins on line 2 is never closed"),
        ("q,é\nä,ü\nö,".encode() + b"\xff\n", "NOT_A_TABLE", "position 14"),
        (b"q,a\n1," + b"x" * 1_000_001, "VALUE_TOO_LONG", "line 2"),
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
    start = b"q,a\n" + b"a question,an answer\n" * 20_000
    assert f"position {len(start):,} " in error_of(open_content, start + b"\xe9,x\n").message


def test_a_line_that_is_too_long_is_refused(open_content: OpenTable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "LINE_LIMIT", 100)
    assert "Line 2 has more than 100" in error_of(open_content, "q,a\n1," + "x" * 200).message


def test_json_lines_have_strings_unchanged_and_other_values_as_json(open_content: OpenTable) -> None:
    table = open_content('{"q": "é", "a": 1}\n\n{"a": {"b": [true]}, "c": null, "q": 1.5}\n', "JSONL")
    assert table.headers == ("q", "a", "c")
    assert list(table.rows()) == [
        TableRow(1, {"q": "é", "a": "1"}),
        TableRow(3, {"q": "1.5", "a": '{"b": [true]}', "c": ""}),
    ]


@pytest.mark.parametrize(
    "line",
    ["{", "nonsense", "[1]", '"text"', '{"q": NaN}', "[" * 100_000, '{"q": "\\u0000"}', '{"q": "\\ud800"}'],
)
def test_an_invalid_line_of_json_lines_is_one_row_with_a_problem(open_content: OpenTable, line: str) -> None:
    rows = list(open_content(f'{{"q": "1"}}\n{line}\n{{"q": "2"}}\n', "JSONL").rows())
    assert [row.values for row in rows] == [{"q": "1"}, {}, {"q": "2"}]
    assert rows[1].problems[0].code is ProblemCode.JSON_INVALID
    assert "Line 2 " in rows[1].problems[0].message


@pytest.mark.parametrize("content", ["q,a\n1,2\n", "[\n]\n", "[]"])
def test_a_file_without_a_json_object_is_not_json_lines(open_content: OpenTable, content: str) -> None:
    assert error_of(open_content, content, "JSONL").reason == "NOT_A_TABLE"


def test_a_json_value_that_is_too_long_is_refused(open_content: OpenTable) -> None:
    text = json.dumps({"q": "x" * 1_000_001})
    assert error_of(open_content, text, "JSONL").reason == "VALUE_TOO_LONG"


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=30)
ROWS = st.lists(st.lists(TEXT, min_size=3, max_size=3), min_size=1, max_size=10)


@given(rows=ROWS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_what_a_csv_writer_writes_is_read_back(open_content: OpenTable, rows: list[list[str]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([["a", "b", "c"], *rows])
    found = [list(row.values.values()) for row in open_content(text.getvalue()).rows()]
    assert found == rows


@given(rows=st.lists(st.dictionaries(st.sampled_from(["q", "a"]), TEXT, min_size=2), min_size=1, max_size=10))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_json_lines_are_read_back(open_content: OpenTable, rows: list[dict[str, str]]) -> None:
    text = "\n".join(json.dumps(row) for row in rows)
    assert [row.values for row in open_content(text, "JSONL").rows()] == rows


def test_the_delimiter_of_an_empty_file_is_a_comma() -> None:
    assert sniff([]) == ","
