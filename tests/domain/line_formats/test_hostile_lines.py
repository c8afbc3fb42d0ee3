"""Lines that are made to break their reader: each is read or refused, in a time that grows with its length."""

from time import process_time
from typing import Any

import pytest

from domain.conversation_checks import conversation_faults
from domain.conversations import ItemFormat
from domain.import_formats import ImportFormat
from domain.json_values import parsed_json
from domain.line_formats.conversion import convert_line, read_line
from domain.line_formats.lines import NotUnderstood
from tests.conversations import assistant, call, calling, chat, result, tool, user
from tests.domain.line_formats.strategies import DATASETS

MANY = 20_000
SOON_S = 3.0
"""Far above what linear work takes here, and far below what quadratic work does."""


def nested(levels: int) -> Any:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


def test_arguments_that_are_nested_too_deeply_are_refused() -> None:
    line = chat(
        user(),
        {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {"a": nested(300)}}}]},
    )
    with pytest.raises(NotUnderstood, match="nested too deeply"):
        convert_line(ImportFormat.TRL, line)


def test_ids_that_the_line_has_already_are_passed_over_however_many_there_are() -> None:
    taken = [call(f"call_{number}", "f", "{}") for number in range(1, 5_000)]
    line = chat(user(), calling(*taken, {"function": {"name": "f", "arguments": "{}"}}))

    values = read_line(ImportFormat.TRL, line, DATASETS[ItemFormat.CONVERSATION]).values

    assert parsed_json(values["messages"])[1]["tool_calls"][-1]["id"] == "call_5000"


def test_results_find_their_calls_in_linear_time() -> None:
    calls = [{"function": {"name": f"f{number}", "arguments": "{}"}} for number in range(MANY)]
    results = [{"role": "tool", "name": f"f{number}", "content": "x"} for number in reversed(range(MANY))]
    start = process_time()

    converted = convert_line(ImportFormat.TRL, chat(user(), calling(*calls), *results, assistant())).line

    assert converted["messages"][2]["tool_call_id"] == f"call_{MANY}"
    assert process_time() - start < SOON_S


def test_calls_and_tools_are_checked_in_linear_time() -> None:
    names = [f"f{number}" for number in range(MANY)]
    calls = [call(name, name, "{}") for name in names]
    start = process_time()

    faults = list(
        conversation_faults(
            chat(
                user(),
                calling(*calls),
                *map(result, reversed(names)),
                assistant(),
                tools=list(map(tool, names)),
            )
        )
    )

    assert faults == []
    assert process_time() - start < SOON_S


def test_a_name_that_an_object_has_twice_is_found_in_linear_time() -> None:
    members = ",".join(f'"key{number}":1' for number in range(MANY))
    start = process_time()
    with pytest.raises(ValueError, match=f"names 'key{MANY - 1}' twice"):
        parsed_json(f'{{{members},"key{MANY - 1}":2}}')
    assert process_time() - start < SOON_S
