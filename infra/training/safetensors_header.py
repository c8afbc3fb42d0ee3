"""What safetensors files say of themselves: a header of JSON, whose lengths are checked against the file."""

import json
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

LENGTH_BYTES = 8
MAX_HEADER_BYTES = 100_000_000  # as the library has it


class InvalidSafetensors(ValueError):
    """The file is damaged; the message is one sentence for the user."""


@dataclass(frozen=True, slots=True)
class TensorShape:
    """A tensor's type, such as `BF16`, and its dimensions."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def parameters(self) -> int:
        """The number of its values."""
        return prod(self.shape)


def read_shapes(path: Path) -> dict[str, TensorShape]:
    """The tensors of a file by name, without their values. Raises `InvalidSafetensors`."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(LENGTH_BYTES), "little")
        if not 0 < length <= min(MAX_HEADER_BYTES, size - LENGTH_BYTES):
            raise _damaged(path)
        header = file.read(length)
    try:
        tensors: dict[str, Any] = json.loads(header)
        tensors.pop("__metadata__", None)
        end = max((tensor["data_offsets"][1] for tensor in tensors.values()), default=0)
        shapes = {
            name: TensorShape(str(tensor["dtype"]), tuple(map(int, tensor["shape"])))
            for name, tensor in tensors.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise _damaged(path) from error
    if LENGTH_BYTES + length + end != size:
        raise _damaged(path)
    return shapes


def _damaged(path: Path) -> InvalidSafetensors:
    return InvalidSafetensors(f"{path.name} is damaged or was not copied completely.")
