from pathlib import Path

import pytest

from app.cli.tune_steps import TuneOptions, _fields

FILE = Path("table.csv")


def test_of_two_columns_the_first_is_asked_and_the_second_is_learned() -> None:
    assert _fields(["question", "answer"], TuneOptions(file=FILE)) == ("question", "answer")


@pytest.mark.parametrize(
    ("named", "found"), [("Frage", "Frage"), ("frage", "Frage"), ("FRAGE", "Frage"), ("antwort", "antwort")]
)
def test_a_column_is_found_whatever_its_case(named: str, found: str) -> None:
    headers = ["Frage", "antwort", "Antwort", "Quelle"]
    assert _fields(headers, TuneOptions(file=FILE, input=named, output="Quelle")) == (found, "Quelle")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (TuneOptions(file=FILE), "say --input and --output; the columns are a, b, B."),
        (TuneOptions(file=FILE, input="a"), "say --input and --output; the columns are a, b, B."),
        (TuneOptions(file=FILE, input="a", output="c"), "there is no column 'c'; the columns are a, b, B."),
    ],
)
def test_a_missing_column_is_an_error_with_the_columns(options: TuneOptions, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        _fields(["a", "b", "B"], options)
