"""What comes back of a line: in OpenAI's format the same JSON, in others the same conversation or a refusal."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import event, given

from domain import exact_json
from domain.import_formats import ImportFormat
from domain.line_formats.conversion import read_line, write_line, write_text
from domain.line_formats.item_values import item_format_of, values_of
from domain.line_formats.lines import CannotHold
from tests.domain.line_formats.strategies import (
    CHATS,
    DATASETS,
    json_values,
    lines,
    without_what_changes_nothing,
)

OTHERS = (ImportFormat.ALPACA, ImportFormat.SHAREGPT, ImportFormat.TRL)


@given(lines)
def test_openais_lines_come_back_as_the_same_json(line: dict[str, Any]) -> None:
    dataset = DATASETS[item_format_of(line)]
    text = json.dumps(line, ensure_ascii=True)
    item = read_line(ImportFormat.OPENAI, exact_json.loads(text), dataset)
    assert item.ignored == ()
    written = write_text(ImportFormat.OPENAI, tuple(item.values.values()), dataset)
    assert json.loads(written) == line
    members = json.loads(written, object_pairs_hook=list)
    assert sorted(members) == sorted(
        json.loads(text, object_pairs_hook=list)
    )  # inner keys are in the same order


@pytest.mark.parametrize("format", OTHERS)
@given(line=lines)
def test_what_a_format_holds_comes_back_as_the_same_conversation(
    format: ImportFormat, line: dict[str, Any]
) -> None:
    dataset = DATASETS[item_format_of(line)]
    values = values_of(line, dataset)
    try:
        written = write_text(format, tuple(values.values()), dataset)
    except CannotHold as refusal:
        event(str(refusal)[:20])
        return
    item = read_line(format, exact_json.loads(written), dataset)
    assert item.ignored == ()
    back = write_line(ImportFormat.OPENAI, tuple(item.values.values()), dataset)
    assert without_what_changes_nothing(back) == without_what_changes_nothing(line)


@pytest.mark.parametrize("format", [ImportFormat.OPENAI, *OTHERS])
@pytest.mark.parametrize("field", ["messages", "tools", "parallel_tool_calls"])
@given(value=json_values, message=json_values)
def test_an_item_of_any_values_is_written_or_refused(
    format: ImportFormat, field: str, value: Any, message: Any
) -> None:
    line = {"messages": [{"role": "user", "content": "?"}, message], field: value}
    values = [json.dumps(line[name]) if name in line else "" for name in CHATS.field_names]
    with suppress(CannotHold):
        assert json.loads(write_text(format, values, CHATS))


@pytest.mark.parametrize("depth", [250, 100_000])
def test_an_item_that_is_nested_too_deeply_is_refused(depth: int) -> None:
    with pytest.raises(CannotHold, match="invalid"):
        write_text(ImportFormat.OPENAI, ("[" * depth + "]" * depth, "", ""), CHATS)
