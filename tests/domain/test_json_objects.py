"""JSON objects of a text: what is wrong with one is said of it alone, and numbers keep their text."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Invalid
from domain.files.json_objects import JsonRow, begins_as_json, is_one_value, rows_of_lines, rows_of_text

DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("{", "Line 2 is not JSON."),
        ("nonsense", "Line 2 is not JSON."),
        ('{"q": NaN}', "Line 2 is not JSON."),
        ('{"q": -Infinity}', "Line 2 is not JSON."),
        ('{"q": "1",}', "Line 2 is not JSON."),
        ('{"q": "1"} {"q": "2"}', "Line 2 is not JSON."),
        ("[1]", "Line 2 is not a JSON object."),
        ('"text"', "Line 2 is not a JSON object."),
        (DEEP, "Line 2 is nested too deeply."),
        (f'{{"q": {DEEP}}}', "Line 2 is nested too deeply."),
        ('{"q": "\\u0000"}', "Line 2 contains a NUL character."),
        ('{"\\u0000": "q"}', "Line 2 contains a NUL character."),
        ('{"q": "\\ud800"}', "Line 2 contains half of a surrogate pair."),
        ('{"q": "1", "q": "2"}', "Line 2: the field 'q' is named twice."),
        ('{"q": {"a": 1, "a": 1}}', "Line 2: the field 'a' is named twice."),
        ('{"q": 1, "q": 2} x', "Line 2: the field 'q' is named twice."),
        ('{"x": {"a": 1, "a": 2}, "b":}', "Line 2: the field 'a' is named twice."),
        ('[{"a": 1, "a": 2}]', "Line 2: the field 'a' is named twice."),
        ('{"x": {"a": 1, "a": 2}, "b": ' + "[" * 100_000, "Line 2: the field 'a' is named twice."),
    ],
)
def test_what_is_wrong_with_a_line_is_said_of_it_alone(line: str, fault: str) -> None:
    rows = list(rows_of_lines(['{"q": "1"}\n', f"{line}\n", '{"q": "3"}\n']))
    assert (rows[0], rows[2]) == (JsonRow(1, {"q": "1"}), JsonRow(3, {"q": "3"}))
    assert rows[1].fault == fault


def test_many_names_of_which_one_comes_twice_take_no_longer_than_the_line() -> None:
    names = ",".join(f'"k{number}":0' for number in range(200_000))
    [row] = rows_of_lines([f'{{{names},"k7":1}}'])
    assert row.fault == "Line 1: the field 'k7' is named twice."


def test_an_object_without_a_member_is_one_however_long() -> None:
    assert list(rows_of_lines(["{" + " " * 1_000_001 + "}"])) == [JsonRow(1, {})]


@pytest.mark.parametrize(
    ("member", "text"),
    [
        ("19.90", "19.90"),
        ("1e400", "1e400"),
        ("-0", "-0"),
        ("1.0", "1.0"),
        ("1E5", "1E5"),
        ("9" * 5_000, "9" * 5_000),
        ("0.1000000000000000055511151231257827", "0.1000000000000000055511151231257827"),
        ("true", "true"),
        ("false", "false"),
        ("null", ""),
        ('"\\u00e9\\n"', "é\n"),
        ('""', ""),
    ],
)
def test_a_value_is_text_as_it_stands_in_the_file(member: str, text: str) -> None:
    assert list(rows_of_lines([f'{{"q": {member}}}'])) == [JsonRow(1, {"q": text})]


@pytest.mark.parametrize(
    "member",
    ['{"total":19.90,"qty":1.0}', "[1e400]", "[ ]", '{"a" : "}\\"{" , "b":[1,\t2]}', '[{"role": "\\u00e9"}]'],
)
def test_an_object_or_array_is_the_text_of_the_file(member: str) -> None:
    line = f'{{ "x\\"y" : 1.50 ,"q":{member}, "last": [ 1 ] }}'
    assert list(rows_of_lines([line])) == [
        JsonRow(1, {'x"y': "1.50", "q": member, "last": "[ 1 ]"}, frozenset({"q", "last"}))
    ]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text('ab"{}', max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
OBJECTS = st.lists(
    st.dictionaries(st.text('qa"[', min_size=1, max_size=3), VALUES, max_size=4), min_size=1, max_size=6
)


@given(objects=OBJECTS, indent=st.sampled_from([None, 1, 4]), size=st.integers(1, 9), in_array=st.booleans())
def test_an_array_and_objects_over_several_lines_are_read_as_json_lines_are(
    objects: list[dict[str, object]], indent: int | None, size: int, in_array: bool
) -> None:
    texts = [json.dumps(value, indent=indent) for value in objects]
    text = f"[{','.join(texts)}]" if in_array else "\n".join(texts)
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    found = [(row.values, row.fault is None) for row in rows_of_text(pieces)]
    assert found == [(row.values, row.fault is None) for text in texts for row in rows_of_lines([text])]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('[{"q": 1},\n{"q": 2', 2),
        ('[{"q": 1},\n2]', 2),
        ('[{"q": 1}] x', 1),
        ('[{"q": 1}]\n[{"q": 1}]', 2),
        ('{"q": 1}\n]', 2),
        ('[{"q": "open]\n}', 1),
    ],
)
def test_a_malformed_array_is_refused_from_a_line_on(text: str, line: int) -> None:
    with pytest.raises(Invalid, match=f"line {line} "):
        list(rows_of_text([text]))


def test_an_object_of_an_array_may_have_a_problem_of_its_own() -> None:
    text = f'[{{"q": 1}},\n{{"q": 1, "q": 2}},\n{{"q": NaN}},\n{{"q": {DEEP}}},\n{{"q": 5}}]'
    assert [(row.line, row.fault is None) for row in rows_of_text([text])] == [
        (1, True), (2, False), (3, False), (4, False), (5, True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("head", "is_json", "is_one"),
    [
        ('{"q": 1}\n{"q": 2}\n', True, False),
        ('\ufeff\n {"q": 1}\n', True, False),
        ("[\n", True, True),
        ('[{"q": 1}]', True, True),
        ("{\n", True, True),
        ('{"q": 1,\n', True, True),
        ('{"q": NaN}\n', True, False),
        ('{"q": 1, "q": 2}\n', True, False),
        ("{q},a\n1,2\n", False, False),
        ("[id],a\n1,2\n", False, True),
        ("q,a\n1,2\n", False, False),
    ],
)
def test_json_is_known_by_its_first_line(head: str, is_json: bool, is_one: bool) -> None:
    assert begins_as_json(head) is is_json
    assert is_one_value(head) is is_one
