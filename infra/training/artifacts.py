"""The files that a run publishes, with their sizes and checksums."""

import json
from pathlib import Path
from typing import Any

from domain.finetunes import ArtifactKind
from domain.hashes import sha256_of_file
from domain.ports.trainer import ProducedFile
from infra.training.frozen_run import write_atomically


def produced_file(path: Path, kind: ArtifactKind, quantization: str | None = None) -> ProducedFile:
    """The record of the finished file at `path`; reads it to hash it."""
    return ProducedFile(
        filename=path.name,
        kind=kind,
        path=path,
        size_bytes=path.stat().st_size,
        sha256=sha256_of_file(path),
        quantization=quantization,
    )


def write_file(path: Path, kind: ArtifactKind, content: dict[str, Any] | str) -> ProducedFile:
    """Write text, or a dict as JSON, to `path`."""
    text = (
        content
        if isinstance(content, str)
        else json.dumps(content, indent=2, ensure_ascii=False, default=str)
    )
    write_atomically(path, text.encode())
    return produced_file(path, kind)


def copy_adapter(saved: Path, folder: Path, base_model_name: str) -> list[ProducedFile]:
    """Copy the adapter's weights and configuration; the latter names the base model and no path of this machine."""
    weights = folder / "adapter_model.safetensors"
    write_atomically(weights, (saved / weights.name).read_bytes())
    config = json.loads((saved / "adapter_config.json").read_text())
    return [
        produced_file(weights, ArtifactKind.ADAPTER),
        write_file(
            folder / "adapter_config.json",
            ArtifactKind.ADAPTER,
            config | {"base_model_name_or_path": base_model_name},
        ),
    ]
