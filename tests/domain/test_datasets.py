"""Rules of datasets."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.datasets import check_descriptions, check_fields
from domain.errors import Invalid
from tests.domain.records import DATASET

NAME = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=20)


def test_whitespace_around_names_is_removed() -> None:
    untrimmed = replace(DATASET, name=" A ", field_names=(" q ", "a "), input_field="q ", output_field=" a")
    validated = untrimmed.validated()
    assert (validated.name, validated.field_names) == ("A", ("q", "a"))
    assert (validated.input_field, validated.output_field) == ("q", "a")


@pytest.mark.parametrize(
    ("values", "reason", "field"),
    [
        ({"name": " "}, "REQUIRED", "name"),
        ({"field_names": ("question",)}, "INVALID_FIELDS", "fieldNames"),
        ({"field_names": ("question", "answer", "answer")}, "DUPLICATE_FIELD", "fieldNames"),
        ({"field_names": ("question", "answer", "")}, "REQUIRED", "fieldNames"),
        ({"input_field": "prompt"}, "UNKNOWN_FIELD", "inputField"),
        ({"output_field": "question"}, "INVALID_FIELDS", "outputField"),
        ({"language_iso": "English"}, "INVALID_LANGUAGE", "languageIso"),
        ({"language_iso": "ägn"}, "INVALID_LANGUAGE", "languageIso"),
        ({"expected_output_size_chars": 0}, "OUT_OF_RANGE", "expectedOutputSizeChars"),
        ({"generate_examples_number": -1}, "OUT_OF_RANGE", "generateExamplesNumber"),
        ({"corpus_name": "a\x00"}, "INVALID_TEXT", "corpusName"),
        ({"json_object_fields": ["question"]}, "INVALID_JSON_FIELDS", "jsonObjectFields"),
        ({"json_object_fields": {"question": 1}}, "INVALID_JSON_FIELDS", "jsonObjectFields"),
    ],
)
def test_a_value_that_breaks_a_rule_is_refused(values: dict[str, Any], reason: str, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        replace(DATASET, **values).validated()
    assert (refused.value.reason, refused.value.field) == (reason, [field])


@given(st.lists(NAME, min_size=2, max_size=50, unique=True))
def test_any_distinct_names_are_valid_fields(names: list[str]) -> None:
    check_fields(tuple(names), names[0], names[-1])


@pytest.mark.parametrize("fields", [None, {}, {"question": "What is asked.", "other": ""}])
def test_fields_may_have_descriptions(fields: dict[str, str] | None) -> None:
    check_descriptions(fields)
