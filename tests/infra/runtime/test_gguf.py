from pathlib import Path
from struct import pack

import pytest

from domain.errors import Invalid
from infra.runtime._gguf import training_context
from tests.infra.runtime.tiny import CONTEXT, write_model

HEAD = b"GGUF" + pack("<IQ", 3, 0)
ENTRY = pack("<Q", 4) + b"name"


def test_the_context_that_a_model_was_trained_for_is_read_from_its_header(tmp_path: Path) -> None:
    assert training_context(write_model(tmp_path / "m.gguf")) == CONTEXT


def test_a_header_with_numbers_lists_and_texts_before_the_context_is_read(tmp_path: Path) -> None:
    entries = [
        ENTRY + pack("<If", 6, 1.5),
        ENTRY + pack("<IQ", 8, 2) + b"hi",
        ENTRY + pack("<IIQ", 9, 4, 2) + pack("<II", 1, 2),
        ENTRY + pack("<IIQ", 9, 8, 1) + pack("<Q", 2) + b"hi",
        pack("<Q", 20) + b"llama.context_length" + pack("<IQ", 10, 8192),
    ]
    path = tmp_path / "m.gguf"
    path.write_bytes(HEAD + pack("<Q", len(entries)) + b"".join(entries))

    assert training_context(path) == 8192


def test_a_header_that_is_cut_anywhere_is_invalid(tmp_path: Path) -> None:
    raw = write_model(tmp_path / "m.gguf").read_bytes()
    needed = raw.index(b"llama.context_length") + 20 + 4 + 4
    cut = tmp_path / "cut.gguf"
    for length in range(needed):
        cut.write_bytes(raw[:length])
        with pytest.raises(Invalid):
            training_context(cut)


@pytest.mark.parametrize(
    "rest",
    [
        pack("<Q", 1) + pack("<Q", 1 << 60),  # a key that is too long
        pack("<Q", 1) + ENTRY + pack("<IIQ", 9, 9, 1 << 60),  # lists in lists
        pack("<Q", 1 << 60) + ENTRY + pack("<I", 99),  # an unknown type
        pack("<Q", 1) + ENTRY + pack("<IIQ", 9, 10, (1 << 64) - 1),  # a list beyond the end of the file
        pack("<Q", 0),  # no entries
    ],
)
def test_a_header_with_impossible_values_is_invalid(tmp_path: Path, rest: bytes) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(HEAD + rest)

    with pytest.raises(Invalid, match="damaged"):
        training_context(path)


def test_deeply_nested_lists_are_invalid(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(HEAD + pack("<Q", 1) + ENTRY + pack("<I", 9) + pack("<IQ", 9, 1) * 5000)

    with pytest.raises(Invalid, match="damaged"):
        training_context(path)
