"""The formats of files and of items as enums of the GraphQL API, before any type uses them."""

from domain.conversations import ItemFormat
from domain.import_formats import ImportFormat
from schema.shared.enums import register_enum

__all__ = ["ImportFormat", "ItemFormat"]

register_enum(
    ItemFormat,
    "What the items of a dataset are.",
    PROMPT_COMPLETION="Text fields: `inputField` is asked, `outputField` is learned.",
    CONVERSATION="Conversations: the fields `messages`, `tools` and `parallel_tool_calls`, each of which is JSON text in "
    "OpenAI's chat format, or empty. `inputField` and `outputField` are both `messages`.",
    PREFERENCE="Pairs of a better and a worse answer: the fields `input`, `preferred_output` and `non_preferred_output`, "
    "each of which is JSON text in OpenAI's format for direct preference optimization (DPO).",
)
register_enum(
    ImportFormat,
    "Format of an uploaded file of items. Objects may stand one on each line, over several lines, or in an array.",
    CSV="CSV with a header; delimiter (comma, semicolon, tab or pipe) and character encoding are detected.",
    JSONL="Objects from field name to value, one on each line. As the format of an import, the same as `JSON`.",
    JSON="Objects from field name to value, in an array or over several lines.",
    OPENAI="OpenAI's lines of fine-tuning: `messages`; `input`, `preferred_output` and `non_preferred_output`; or "
    "`prompt` and `completion`.",
    ALPACA="Alpaca's lines: `instruction`, `input` and `output`, or `chosen` and `rejected`, with `system` and `history`. "
    "They may be CSV.",
    SHAREGPT="ShareGPT's lines: `conversations`, or `chosen` and `rejected` with them, with `system` and `tools`.",
    TRL="TRL's lines: `messages`, `prompt` and `completion`, or `chosen` and `rejected`, as lists of messages or texts.",
)
