"""The header of a GGUF: its metadata and what it says of its tensors, read with a check of every length.

The readers of `gguf` and of transformers trust the file: a damaged length has them loop for ever, or read beyond its end.
"""

import mmap
import struct
from collections import Counter
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

MAGIC = b"GGUF"
VERSIONS = (2, 3)
DEFAULT_ALIGNMENT = 32
MAX_FIELDS = 65_536
MAX_TENSORS = 1_048_576
MAX_DIMENSIONS = 4
STRING, ARRAY = 8, 9
SCALARS = {
    0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d",
}  # fmt: skip
"""The format for `struct` of each metadata type of a fixed size."""

DAMAGED = "The GGUF is damaged or was not copied completely: {detail}."


class InvalidGguf(ValueError):
    """The file is no GGUF that can be read; the message is one sentence for the user."""


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """The metadata by key, the names of the tensors, and the number of weights of each type such as `Q4_1`."""

    fields: dict[str, Any]
    tensors: tuple[str, ...]
    weights: Counter[str]

    @property
    def architecture(self) -> str:
        """The architecture by llama.cpp's name, empty where the file has none."""
        return self.text("general.architecture") or ""

    @property
    def main_type(self) -> str:
        """The type of most weights."""
        return self.weights.most_common(1)[0][0]

    def text(self, key: str) -> str | None:
        """A text of the metadata; None where there is none."""
        value = self.fields.get(key)
        return value if isinstance(value, str) and value else None


def read_header(path: Path) -> GgufHeader:
    """Read the header, and check that the file has the bytes of all tensors. Raises `InvalidGguf`."""
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise InvalidGguf(f"{path.name} is not a GGUF: it does not begin with the letters GGUF.")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                return _Reader(data).header()
            except (struct.error, IndexError) as error:
                raise InvalidGguf(DAMAGED.format(detail="it ends within its header")) from error
            except UnicodeDecodeError as error:
                raise InvalidGguf(DAMAGED.format(detail="a text is not UTF-8")) from error


class _Reader:
    """Reads values one after another; `struct.error` and `IndexError` mean that the file ends too early."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._offset = len(MAGIC)

    def header(self) -> GgufHeader:
        version = self._scalar("I")
        if version not in VERSIONS:
            raise InvalidGguf(f"The GGUF has version {version}; versions 2 and 3 can be read.")
        tensor_count, field_count = self._scalar("Q"), self._scalar("Q")
        if tensor_count > MAX_TENSORS or field_count > MAX_FIELDS:
            raise InvalidGguf(
                DAMAGED.format(detail=f"it names {tensor_count} tensors and {field_count} fields")
            )
        fields = {self._string(): self._value(self._scalar("I")) for _ in range(field_count)}
        tensors = [self._tensor() for _ in range(tensor_count)]
        if not tensors:
            raise InvalidGguf("The GGUF has no weights.")
        self._check_size(fields, tensors)
        weights = Counter[str]()
        for _, type_, count, _ in tensors:
            weights[type_.name] += count
        return GgufHeader(fields, tuple(name for name, *_ in tensors), weights)

    def _check_size(self, fields: dict[str, Any], tensors: list["_Tensor"]) -> None:
        alignment = fields.get("general.alignment", DEFAULT_ALIGNMENT)
        if not isinstance(alignment, int) or alignment <= 0 or alignment & (alignment - 1):
            raise InvalidGguf(DAMAGED.format(detail="its alignment is no power of two"))
        start = -(-self._offset // alignment) * alignment
        end = start + max(offset + _size(type_, count) for _, type_, count, offset in tensors)
        if end > len(self._data):
            raise InvalidGguf(
                DAMAGED.format(detail=f"its weights need {end:,} bytes, and the file has {len(self._data):,}")
            )

    def _tensor(self) -> "_Tensor":
        name = self._string()
        dimensions = self._scalar("I")
        if not 0 < dimensions <= MAX_DIMENSIONS:
            raise InvalidGguf(DAMAGED.format(detail=f"the tensor {name[:80]} has {dimensions} dimensions"))
        count = prod(self._scalar("Q") for _ in range(dimensions))
        number = self._scalar("I")
        try:
            type_ = GGMLQuantizationType(number)
        except ValueError as error:
            raise InvalidGguf(f"The GGUF's tensor {name[:80]} has the unknown type {number}.") from error
        return name, type_, count, self._scalar("Q")

    def _value(self, type_: int) -> Any:
        if type_ == STRING:
            return self._string()
        if type_ == ARRAY:
            return self._array(self._scalar("I"), self._scalar("Q"))
        if type_ not in SCALARS:
            raise InvalidGguf(DAMAGED.format(detail=f"a field has the unknown type {type_}"))
        return self._scalar(SCALARS[type_])

    def _array(self, type_: int, length: int) -> list[Any]:
        if length > len(self._data):  # an element has a byte at least
            raise IndexError(length)
        if type_ in SCALARS:
            format = f"<{length}{SCALARS[type_]}"
            values = struct.unpack_from(format, self._data, self._offset)
            self._offset += struct.calcsize(format)
            return list(values)
        if type_ != STRING:
            raise InvalidGguf(DAMAGED.format(detail=f"an array has elements of the type {type_}"))
        return [self._string() for _ in range(length)]

    def _scalar(self, format: str) -> Any:
        (value,) = struct.unpack_from(f"<{format}", self._data, self._offset)
        self._offset += struct.calcsize(f"<{format}")
        return value

    def _string(self) -> str:
        length = self._scalar("Q")
        end = self._offset + length
        if end > len(self._data):
            raise IndexError(end)
        text = self._data[self._offset : end].decode()
        self._offset = end
        return text


_Tensor = tuple[str, GGMLQuantizationType, int, int]
"""The name, the type, the number of weights, and where they begin behind the header."""


def _size(type_: GGMLQuantizationType, count: int) -> int:
    block, size = GGML_QUANT_SIZES[type_]
    return int(count // block * size)
