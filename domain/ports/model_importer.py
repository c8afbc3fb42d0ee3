"""The port that makes a base model's files of a GGUF or of a folder of safetensors."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedModel:
    """The facts of an imported model, from its files. `base_architecture` is transformers' `model_type`."""

    base_architecture: str
    architecture: str | None
    num_parameters: int
    vocab_size: int | None
    max_position_embeddings: int | None
    license: str | None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """A model that an installed package carries; `revision` names the package and its version."""

    path: Path
    revision: str


class ModelImporter(Protocol):
    """Imports models in a process of its own, which a damaged file cannot take the worker down with."""

    def packaged(self, model_id: str) -> PackagedModel | None:
        """The GGUF of a model that an installed package carries; None where there is none."""
        ...

    async def import_model(self, source: Path, folder: Path) -> ImportedModel:
        """Write the files of a base model, made of the GGUF or the folder `source`, into the empty `folder`.

        Raises `Invalid` MODEL_NOT_USABLE with one sentence. Cancelling the task ends the process.
        """
        ...
