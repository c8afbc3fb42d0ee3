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
    OPENAI="Lines of OpenAI's fine-tuning files: `messages` (with `tools` and `parallel_tool_calls`), `input` with "
    "`preferred_output` and `non_preferred_output`, or `prompt` with `completion`; deprecated names too.",
    ALPACA="Objects with `instruction`, `input` and `output`, or `chosen` and `rejected`, which may be the rows of CSV; "
    "`system` and `history` are kept.",
    SHAREGPT="Objects with `conversations`, turns of `from` and `value` or of `role` and `content`; `chosen` and "
    "`rejected` make them preference pairs.",
    TRL="Objects as TRL's trainers take them: `messages`, `prompt` with `completion`, or `chosen` with `rejected`.",
)
