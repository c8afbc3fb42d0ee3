"""JSON that is written as it was read: the texts of numbers, the order of keys."""

import json
from typing import Any

import pytest
from hypothesis import given

from domain import exact_json
from tests.domain.line_formats.strategies import json_values

DEEP = "[" * 150 + "1.10" + "]" * 150


@pytest.mark.parametrize(
    "text",
    [
        '{"b": 1.10, "a": [1e400, -0, -0.0, 1E5, 2.5, 0.1]}',
        f"[123456789012345678901234567890, {'9' * 5_000}, 1e-400]",
        '{"": {}, "ü\\n\\"": "😀 \\u0001", "x": [null, true, false, []]}',
        "1.0",
        DEEP,
    ],
)
def test_a_text_is_written_as_it_was_read(text: str) -> None:
    assert exact_json.dumps(exact_json.loads(text)) == text


@given(json_values)
def test_other_values_are_written_as_json_does(value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False)
    assert exact_json.loads(text) == value
    assert exact_json.dumps(value) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[NaN]", "NaN is not JSON."),
        ("[-Infinity]", "-Infinity is not JSON."),
        ('[{"a": 1, "a": 2}]', "The key 'a' is there twice."),
        ("[" * 100_000, "It is nested too deeply."),
    ],
)
def test_what_is_no_json_to_all_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        exact_json.loads(text)


@pytest.mark.parametrize("number", ["1", "1.10"])
def test_what_is_nested_too_deeply_is_not_written(number: str) -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        exact_json.dumps(exact_json.loads("[" * 300 + number + "]" * 300))


def test_members_and_elements_keep_their_text() -> None:
    assert exact_json.raw_members(' {"a" : {"b":[1,  2]} ,"c,:" :"\\u00fc", "d":1e5}\n') == {
        "a": '{"b":[1,  2]}', "c,:": '"\\u00fc"', "d": "1e5",
    }  # fmt: skip
    assert exact_json.raw_elements('[ {"a":1} , [] ,"]" ]') == ['{"a":1}', "[]", '"]"']
    assert exact_json.raw_elements("[ ]") == []
    for text in ("{", "[1]", '"a"'):
        with pytest.raises(ValueError, match=r"."):
            exact_json.raw_members(text)
