"""The token types of the GGUF, where the converter's do not suit llama.cpp."""

from pathlib import Path

from gguf import GGUFReader, TokenType

IMPOSSIBLE_BYTES = frozenset({0xC0, 0xC1, *range(0xF5, 0x100)})
"""The bytes that are in no UTF-8 text (RFC 3629)."""


def disable_impossible_bytes(gguf: Path) -> None:
    """Mark the byte tokens that are in no UTF-8 text as unused, so that the model never answers with one.

    llama.cpp's JSON grammar admits all bytes in a string. An answer with one of these is malformed, and its
    server then refuses the whole answer with status 500.
    """
    reader = GGUFReader(gguf, "r+")
    tokens, types = (reader.fields[f"tokenizer.ggml.{name}"] for name in ("tokens", "token_type"))
    for token, type_ in zip(tokens.data, types.data, strict=True):
        if types.parts[type_][0] == TokenType.BYTE and _byte(bytes(tokens.parts[token])) in IMPOSSIBLE_BYTES:
            types.parts[type_][0] = TokenType.UNUSED
    reader.data.flush()


def _byte(token: bytes) -> int:
    """The byte of a token such as `<0xF5>`."""
    return int(token.decode().strip("<>"), 16)
