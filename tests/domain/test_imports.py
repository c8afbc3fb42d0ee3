"""Options of imports: which column each field is, and in which encoding a document is read."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.encodings import EncodingReading, declared_encoding, encoding_of_language, validated_encoding
from domain.errors import Invalid
from domain.import_formats import ImportFormat
from domain.imports import ImportOptions, column_mapping
from tests.domain.records import DOCUMENT

READINGS = (
    EncodingReading(encoding="cp1252", line="caffè"),
    EncodingReading(encoding="cp1250", line="caffč"),
)


@given(st.permutations(["question", "answer", "note"]))
def test_columns_are_found_by_name_in_any_order(headers: list[str]) -> None:
    assert column_mapping(("answer", "question"), headers, {}) == {"answer": "answer", "question": "question"}


def test_a_column_that_differs_in_case_alone_is_found_unless_there_are_two() -> None:
    assert column_mapping(("question", "answer"), ("Question", " ANSWER "), {}) == {
        "question": "Question",
        "answer": " ANSWER ",
    }
    assert column_mapping(("a", "b"), ("A", "a", "b"), {}) == {"a": "a", "b": "b"}


def test_missing_columns_are_named_with_the_header() -> None:
    with pytest.raises(Invalid) as refused:
        column_mapping(("question", "answer"), ("Frage", "ANSWER", "Answer"), {})
    assert refused.value.message == (
        "The file has no column for 'question', 'answer'; its header is 'Frage', 'ANSWER', 'Answer'. "
        "`columns` maps a field to a header of another name."
    )


def test_a_long_header_is_shortened_in_the_message() -> None:
    with pytest.raises(Invalid, match="and 980 more"):
        column_mapping(("question", "answer"), [f"c{number}" for number in range(1_000)], {})


def test_a_field_may_be_a_column_of_another_name() -> None:
    headers = ("", "Frage", "answer", "x" * 300)
    columns = {"question": "frage", "note": "x" * 300}
    assert column_mapping(("question", "answer", "note"), headers, columns) == {
        "question": "Frage",
        "answer": "answer",
        "note": "x" * 300,
    }


def test_a_header_that_is_named_twice_matters_only_where_it_is_used() -> None:
    assert column_mapping(("q", "a"), ("q", "a", "b", "b"), {}) == {"q": "q", "a": "a"}
    with pytest.raises(Invalid) as refused:
        column_mapping(("q", "b"), ("q", "a", "b", "b"), {})
    assert refused.value.reason == "DUPLICATE_FIELD"


def test_a_header_of_our_own_csv_may_have_a_guard() -> None:
    assert column_mapping(("-note", "a"), ("'-note", "a"), {}) == {"-note": "'-note", "a": "a"}


@pytest.mark.parametrize(
    ("options", "reason", "field"),
    [
        ({"columns": {"other": "x"}}, "UNKNOWN_FIELD", ["columns"]),
        ({"columns": {"q": 7}}, "INVALID_COLUMNS", ["columns"]),
        ({"encoding": "rot13"}, "UNKNOWN_ENCODING", ["encoding"]),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], reason: str, field: list[str]) -> None:
    with pytest.raises(Invalid) as refused:
        ImportOptions(**options).validated(("q", "a"))
    assert (refused.value.reason, refused.value.field) == (reason, field)


def test_options_survive_the_jobs_arguments() -> None:
    options = ImportOptions(format=ImportFormat.CSV, encoding="cp1250", columns={"q": "Frage"})
    assert ImportOptions.of_arguments(options.as_arguments()) == options
    assert ImportOptions.of_arguments({"document_id": "doc_1", "format": None}) == ImportOptions()


def test_the_named_encoding_decides_then_the_documents_then_the_language() -> None:
    sure = replace(DOCUMENT, encoding="cp1252")
    doubtful = replace(sure, encoding_readings=READINGS)
    assert ImportOptions(encoding="cp1250").encoding_of(doubtful, "eng") == "cp1250"
    assert ImportOptions().encoding_of(sure, "ces") == "cp1252"
    assert ImportOptions().encoding_of(doubtful, "ces") == "cp1250"
    assert ImportOptions().encoding_of(DOCUMENT, "ces") is None


def test_a_doubt_that_nothing_decides_is_an_error_with_the_readings() -> None:
    doubtful = replace(DOCUMENT, encoding="cp1252", encoding_readings=READINGS)
    with pytest.raises(Invalid) as refused:
        ImportOptions().encoding_of(doubtful, "eng")
    assert (refused.value.reason, refused.value.field) == ("ENCODING_DOUBTFUL", ["encoding"])
    assert refused.value.context == {
        "readings": [{"encoding": "cp1252", "line": "caffè"}, {"encoding": "cp1250", "line": "caffč"}]
    }
    assert "cp1250 reads it as: caffč" in refused.value.message


def test_two_fields_do_not_take_one_column() -> None:
    with pytest.raises(Invalid) as refused:
        column_mapping(("question", "answer"), ("answer", "other"), {"question": "answer"})
    assert (refused.value.reason, refused.value.field) == ("DUPLICATE_COLUMN", ["columns"])


def test_names_are_shortened_in_errors() -> None:
    with pytest.raises(Invalid) as refused:
        column_mapping(("q", "a"), ("x" * 1_000_000, "a"), {})
    assert len(refused.value.message) < 300
    assert refused.value.context["header"] == ["x" * 100, "a"]


def test_a_guess_that_is_none_of_the_languages_encodings_is_a_doubt() -> None:
    guessed = replace(DOCUMENT, encoding="cp1252", encoding_readings=READINGS[:1])
    assert ImportOptions().encoding_of(guessed, "eng") == "cp1252"
    assert ImportOptions().encoding_of(guessed, "ita") == "cp1252"
    with pytest.raises(Invalid) as refused:
        ImportOptions().encoding_of(guessed, "ces")
    assert refused.value.context == {
        "readings": [{"encoding": "cp1252", "line": "caffè"}, {"encoding": "cp1250", "line": "caffč"}]
    }
    assert ImportOptions(encoding="cp1252").encoding_of(guessed, "ces") == "cp1252"


def test_a_language_decides_nothing_where_a_likelier_reading_is_of_dos_or_the_mac() -> None:
    likelier = EncodingReading(encoding="cp850", line="megállo")
    readings = (likelier, EncodingReading(encoding="cp1250", line="meg llo"))
    assert encoding_of_language(readings, "hun") is None
    assert encoding_of_language(readings[::-1], "hun") == "cp1250"


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("windows-1252", "cp1252"),
        (" Latin1 ", "cp1252"),
        ("ISO-8859-1", "cp1252"),
        ("windows-874", "cp874"),
        ("windows-31j", "cp932"),
        ("x-sjis", "cp932"),
        ("x-mac-cyrillic", "mac-cyrillic"),
        ("x-gbk", "gb18030"),
        ("cp-850", "cp850"),
        ("iso-8859-8-i", "iso8859-8"),
        ("euc-kr", "cp949"),
        ("UTF8", "utf-8"),
        ("utf-8-sig", "utf-8"),
        ("us-ascii", "cp1252"),
        ("Shift_JIS", "cp932"),
        ("macintosh", "mac-roman"),
        ("gbk", "gb18030"),
    ],
)
def test_an_encoding_is_known_by_its_usual_names(name: str, codec: str) -> None:
    assert validated_encoding(name, "encoding") == codec


@pytest.mark.parametrize(
    "name",
    [
        "",
        "klingon",
        "rot13",
        "base64",
        "zip",
        "idna",
        "punycode",
        "unicode_escape",
        "undefined",
        "utf-7",
        "é",
        "\x00",
        "x" * 999,
    ],
)
def test_what_is_no_encoding_of_texts_is_refused(name: str) -> None:
    with pytest.raises(Invalid, match="is not known") as refused:
        validated_encoding(name, "encoding")
    assert refused.value.reason == "UNKNOWN_ENCODING"


@pytest.mark.parametrize(
    ("media_type", "encoding"),
    [
        ("text/csv; charset=windows-1250", "cp1250"),
        ('text/csv;header=present; Charset="latin1"', "cp1252"),
        ("text/csv", None),
        ("", None),
        ("text/csv; charset=", None),
        ("text/csv; charset=binary", None),
    ],
)
def test_the_charset_of_a_media_type_is_an_encoding(media_type: str, encoding: str | None) -> None:
    assert declared_encoding(media_type, "fileType") == encoding
