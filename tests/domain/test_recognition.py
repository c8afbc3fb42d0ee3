"""What a table is recognised as, and which datasets its items fit."""

from pathlib import Path

import pytest

from domain.conversations import ItemFormat
from domain.errors import Invalid
from domain.files.recognition import recognised
from domain.files.tables import Table, open_table
from domain.import_formats import ImportFormat

FILES = Path(__file__).parents[1] / "data" / "formats"
CSV, JSONL, JSON, OPENAI, ALPACA, SHAREGPT, TRL = ImportFormat
PAIRS, CONVERSATIONS, PREFERENCES = ItemFormat


def table_of(path: Path) -> Table:
    return open_table(path, "utf-8", CSV if path.suffix == ".csv" else JSONL)


@pytest.mark.parametrize(
    ("name", "import_format", "item_format"),
    [
        ("openai-chat.jsonl", OPENAI, CONVERSATIONS),
        ("openai-tools.jsonl", OPENAI, CONVERSATIONS),
        ("openai-preference.jsonl", OPENAI, PREFERENCES),
        ("openai-completions.jsonl", JSONL, PAIRS),
        ("alpaca.json", ALPACA, PAIRS),
        ("alpaca.csv", ALPACA, PAIRS),
        ("alpaca-system-history.json", ALPACA, CONVERSATIONS),
        ("alpaca-ranking.json", ALPACA, PREFERENCES),
        ("sharegpt.jsonl", SHAREGPT, CONVERSATIONS),
        ("sharegpt-tools.json", SHAREGPT, CONVERSATIONS),
        ("sharegpt-ranking.json", SHAREGPT, PREFERENCES),
        ("trl-prompt-completion.jsonl", TRL, CONVERSATIONS),
        ("trl-preference.jsonl", TRL, PREFERENCES),
        ("trl-preference-text.jsonl", TRL, PREFERENCES),
        ("trl-preference-implicit.jsonl", TRL, PREFERENCES),
        ("messages.csv", CSV, CONVERSATIONS),
        ("preferences.csv", CSV, PREFERENCES),
    ],
)
def test_a_file_is_recognised_by_its_first_lines(
    name: str, import_format: ImportFormat, item_format: ItemFormat
) -> None:
    assert recognised(table_of(FILES / name)) == (import_format, item_format)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ('{"q": "1", "a": "2"}\n', (JSONL, PAIRS)),
        ('[{"q": "1", "a": "2"}]', (JSON, PAIRS)),
        ("nonsense", (JSONL, PAIRS)),
        ('nonsense\n{"messages": []}\n', (OPENAI, CONVERSATIONS)),
        (
            '{\n "messages": [\n  {\n   "role": "user",\n   "content": "x"\n  }\n ]\n}',
            (OPENAI, CONVERSATIONS),
        ),
        ('{"messages": "[{}]"}\n', (JSONL, CONVERSATIONS)),
        ('{"messages": "none"}\n', (JSONL, PAIRS)),
        ('{"chosen": "a", "rejected": "b"}', (TRL, PREFERENCES)),
        (
            '{"instruction": "i", "output": "o", "system": ""}\n' * 200
            + '{"instruction": "i", "output": "o", "system": "s"}\n',
            (ALPACA, CONVERSATIONS),
        ),
    ],
)
def test_a_text_is_recognised_by_its_objects(
    tmp_path: Path, content: str, found: tuple[ImportFormat, ItemFormat]
) -> None:
    (tmp_path / "table").write_text(content)
    assert recognised(open_table(tmp_path / "table", "utf-8", JSONL)) == found


@pytest.mark.parametrize(
    ("name", "requested", "found"),
    [
        ("openai-chat.jsonl", TRL, (TRL, CONVERSATIONS)),
        ("openai-chat.jsonl", JSON, (JSONL, CONVERSATIONS)),
        ("openai-completions.jsonl", OPENAI, (OPENAI, PAIRS)),
        ("alpaca.json", JSONL, (JSON, PAIRS)),
        ("alpaca.csv", CSV, (CSV, PAIRS)),
    ],
)
def test_a_requested_format_decides(
    name: str, requested: ImportFormat, found: tuple[ImportFormat, ItemFormat]
) -> None:
    assert recognised(table_of(FILES / name), requested) == found


def test_a_file_that_is_not_in_the_requested_format_is_refused() -> None:
    with pytest.raises(Invalid) as refused:
        recognised(table_of(FILES / "sharegpt.jsonl"), OPENAI)
    assert refused.value.reason == "UNSUPPORTED_FORMAT"
    assert refused.value.message.startswith("The file is not in the format OPENAI. Line 1: ")
