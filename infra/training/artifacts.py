"""The files that a run publishes, with their sizes and checksums."""

import json
from pathlib import Path
from typing import Any

from domain.artifacts import ArtifactKind
from domain.hashes import sha256_of_file
from domain.ports.trainer import ProducedFile
from domain.storage_keys import BASE_MODEL_FOLDER
from infra.training import tiny
from infra.training.base_model import LocalBaseModel
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
    """Copy the adapter's weights and configuration; the latter has no path of this machine.

    It names the base model as the Hugging Face Hub does. `luthier/tiny` is on no hub: it is a folder of the
    archive, found by programs that run in the unpacked archive, since PEFT reads a path as it stands.
    """
    path = f"./{BASE_MODEL_FOLDER}" if base_model_name == tiny.NAME else base_model_name
    config = json.loads((saved / "adapter_config.json").read_text()) | {"base_model_name_or_path": path}
    return [
        _copy(saved / "adapter_model.safetensors", folder, ArtifactKind.ADAPTER),
        write_file(folder / "adapter_config.json", ArtifactKind.ADAPTER, config),
    ]


def write_tokenizer(base_model: LocalBaseModel, folder: Path) -> list[ProducedFile]:
    """Write the tokenizer and the chat template that the model was trained with."""
    return [produced_file(path, ArtifactKind.ADAPTER) for path in base_model.save_tokenizer(folder)]


def copy_tiny_model(base_model: LocalBaseModel, folder: Path, base_model_name: str) -> list[ProducedFile]:
    """Copy weights and configuration of `luthier/tiny`; nothing for a base model that a hub has."""
    if base_model_name != tiny.NAME:
        return []
    return [_copy(base_model.folder / name, folder, ArtifactKind.BASE_MODEL) for name in tiny.MODEL_FILES]


def _copy(source: Path, folder: Path, kind: ArtifactKind) -> ProducedFile:
    write_atomically(folder / source.name, source.read_bytes())
    return produced_file(folder / source.name, kind)
