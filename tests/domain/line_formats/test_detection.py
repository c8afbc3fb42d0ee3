"""Which format a file is in, by its first lines."""

from typing import Any

import pytest

from domain.conversations import ItemFormat
from domain.import_formats import ImportFormat
from domain.line_formats.detection import detect
from tests.domain.line_formats.reading import assistant, calling, user

OPENAI, ALPACA, SHAREGPT, TRL = (
    ImportFormat.OPENAI,
    ImportFormat.ALPACA,
    ImportFormat.SHAREGPT,
    ImportFormat.TRL,
)
PAIR, CONVERSATION, PREFERENCE = ItemFormat.PROMPT_COMPLETION, ItemFormat.CONVERSATION, ItemFormat.PREFERENCE
CHAT = {"messages": [user("a"), assistant("b")]}
PLAIN = {"question": "a", "answer": "b"}
ALPACAS = {"instruction": "a", "input": "", "output": "b"}
CALL = {"function": {"name": "f", "arguments": {}}, "type": "function"}


@pytest.mark.parametrize(
    ("lines", "formats"),
    [
        ([CHAT], (OPENAI, CONVERSATION)),
        ([CHAT | {"tools": []}, ALPACAS], (OPENAI, CONVERSATION)),
        ([{"messages": [user("a"), calling(("a", "f", "{}")), {"role": "tool", "tool_call_id": "a"}]}], (OPENAI, CONVERSATION)),
        ([{"input": CHAT, "preferred_completion": [], "non_preferred_completion": []}], (OPENAI, PREFERENCE)),
        ([{"messages": [user("a"), {"role": "assistant", "tool_calls": [CALL]}]}], (TRL, CONVERSATION)),
        ([{"messages": [user("a"), {"role": "tool", "content": "b"}]}], (TRL, CONVERSATION)),
        ([{"prompt": [user("a")], "completion": [assistant("b")]}], (TRL, CONVERSATION)),
        ([{"prompt": "a", "completion": "b", "label": False}], (TRL, CONVERSATION)),
        ([{"prompt": "a", "chosen": "b", "rejected": "c"}], (TRL, PREFERENCE)),
        ([{"chosen": "good", "rejected": "bad"}], (TRL, PREFERENCE)),
        ([{"prompt": "a", "chosen": [], "rejected": [], "messages": []}], (TRL, PREFERENCE)),
        ([ALPACAS], (ALPACA, PAIR)),
        ([{"instruction": "a", "output": "b"}], (ALPACA, PAIR)),
        ([ALPACAS | {"system": "", "history": []}], (ALPACA, PAIR)),
        ([ALPACAS, ALPACAS | {"system": "c"}], (ALPACA, CONVERSATION)),
        ([{"instruction": "a", "input": "", "chosen": "b", "rejected": "c"}], (ALPACA, PREFERENCE)),
        ([{"conversations": [{"from": "human", "value": "a"}]}], (SHAREGPT, CONVERSATION)),
        ([{"conversations": [], "chosen": {}, "rejected": {}}], (SHAREGPT, PREFERENCE)),
        ([PLAIN, CHAT], (OPENAI, CONVERSATION)),
        ([PLAIN], None),
        ([{"prompt": "a", "completion": "b"}], None),
        ([{"messages": '[{"role": "user", "content": "a"}]', "tools": ""}], None),
        ([{"instruction": "a", "input": "b", "label": "c"}], None),
        ([{"input": "a", "preferred_output": "b"}], None),
        ([{"messages": None, "conversations": "a", "prompt": None}], None),
        ([{}], None),
        ([], None),
    ],
)  # fmt: skip
def test_the_format_is_seen_by_keys_and_shapes(lines: list[Any], formats: Any) -> None:
    assert detect(lines) == formats
