"""The header of a GGUF, whole, truncated and damaged."""

import random
import struct
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFWriter

from infra.training.gguf_header import InvalidGguf, read_header


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gguf") / "small.gguf"
    writer = GGUFWriter(path, "llama")
    writer.add_name("Small")
    writer.add_token_list(["<s>", "a", "\u00e9"])
    writer.add_float32("llama.rope.freq_base", 10_000.0)
    writer.add_array("numbers", [1, 2, 3])
    writer.add_tensor("token_embd.weight", np.zeros((3, 32), dtype=np.float16))
    writer.add_tensor("output_norm.weight", np.ones(32, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def damaged(gguf: Path, folder: Path, content: bytes) -> Path:
    path = folder / gguf.name
    path.write_bytes(content)
    return path


def test_a_header_has_metadata_tensors_and_types(gguf: Path) -> None:
    header = read_header(gguf)
    assert (header.architecture, header.text("general.name"), header.main_type) == ("llama", "Small", "F16")
    assert header.fields["tokenizer.ggml.tokens"] == ["<s>", "a", "\u00e9"]
    assert header.fields["numbers"] == [1, 2, 3]
    assert header.tensors == ("token_embd.weight", "output_norm.weight")
    assert dict(header.weights) == {"F16": 96, "F32": 32}


def test_every_truncation_is_one_sentence(gguf: Path, tmp_path: Path) -> None:
    content = gguf.read_bytes()
    for length in range(4, len(content), 7):
        with pytest.raises(InvalidGguf, match=r"^The GGUF is damaged or was not copied completely: .*\.$"):
            read_header(damaged(gguf, tmp_path, content[:length]))


@pytest.mark.parametrize("content", [b"", b"GGU", b"PK\x03\x04 a zip"])
def test_another_file_is_no_gguf(gguf: Path, tmp_path: Path, content: bytes) -> None:
    with pytest.raises(InvalidGguf, match=r"is not a GGUF"):
        read_header(damaged(gguf, tmp_path, bytes(content)))


@pytest.mark.parametrize("offset", [8, 16])
def test_a_number_of_tensors_or_fields_that_cannot_be_is_refused_at_once(
    gguf: Path, tmp_path: Path, offset: int
) -> None:
    content = bytearray(gguf.read_bytes())
    content[offset : offset + 8] = struct.pack("<Q", 2**60)
    with pytest.raises(InvalidGguf, match="damaged"):
        read_header(damaged(gguf, tmp_path, bytes(content)))


def test_damaged_bytes_are_refused_or_harmless(gguf: Path, tmp_path: Path) -> None:
    content, numbers = gguf.read_bytes(), random.Random(7)  # noqa: S311
    for _ in range(300):
        changed = bytearray(content)
        changed[numbers.randrange(4, len(content))] = numbers.randrange(256)
        try:
            read_header(damaged(gguf, tmp_path, bytes(changed)))
        except InvalidGguf as error:
            assert str(error).endswith(".")  # noqa: PT017
