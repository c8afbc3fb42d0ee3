"""JSON objects as parsed values: what is wrong with one is said of it alone, and numbers stay numbers."""

from typing import Any

import pytest

from domain.files.json_records import JsonRecord, object_record

DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize(
    ("text", "members"),
    [
        ('{"b": 1, "a": [1.5, null, true]}', {"b": 1, "a": [1.5, None, True]}),
        ('{"a": "\\ud83d\\ude00 \\\\u0000"}', {"a": "😀 \\u0000"}),
        ("{}", {}),
    ],
)
def test_members_are_what_they_are_in_the_order_of_the_file(text: str, members: dict[str, Any]) -> None:
    record = object_record(1, text)
    assert record == JsonRecord(1, len(text), members)
    assert list(record.members) == list(members)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{", "Line 2 is not JSON."),
        ('{"q": NaN}', "Line 2: NaN is not JSON."),
        ("[1]", "Line 2 is not a JSON object."),
        (f'{{"q": {DEEP}}}', "Line 2: It is nested too deeply."),
        ('{"q": {"a": 1, "a": 1}}', "Line 2: The key 'a' is there twice."),
        ('{"q": [{"content": "\\u0000"}]}', "Line 2 contains a NUL character."),
        ('{"q": [{"content": "\\uD800"}]}', "Line 2 contains half of a surrogate pair."),
        ('{"q": [{"\\ud800": 1}]}', "Line 2 contains half of a surrogate pair."),
    ],
)
def test_what_cannot_be_read_has_a_fault(text: str, fault: str) -> None:
    assert object_record(2, text) == JsonRecord(2, len(text), fault=fault)
