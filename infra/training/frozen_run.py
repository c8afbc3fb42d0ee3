"""The frozen configuration of one run: written once by the worker, read by the training process."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import TypeAdapter

from domain.hashes import sha256_of_file
from domain.ports.trainer import TrainingRun

RUN_FILE = "run.json"
DECISIVE_FIELDS = (
    "base_model_name",
    "base_model_sha256",
    "item_format",
    "system_prompt",
    "objective",
    "method",
    "hyperparameters",
    "seed",
)
"""The fields that decide the loss curve, together with the items."""


@dataclass(frozen=True, slots=True)
class FrozenRun:
    """A run, the folder of the base models, and the SHA-256 of the items file."""

    run: TrainingRun
    models_folder: Path
    items_sha256: str

    @classmethod
    def of(cls, run: TrainingRun, models_folder: Path) -> Self:
        """Freeze `run` as it is now; reads the items file to hash it."""
        return cls(run, models_folder, sha256_of_file(run.items_path))

    @property
    def work_folder(self) -> Path:
        """The folder of this run's checkpoints.

        Its name is a digest of everything that decides the loss curve, so that a run whose configuration
        was changed never resumes from checkpoints of the old one.
        """
        # Dumped, because a float that was given as an int is a float when it is read again.
        run = _FROZEN_RUN.dump_python(self, mode="json")["run"]
        identity = [*(run[name] for name in DECISIVE_FIELDS), self.items_sha256]
        return self.run.folder / f"work-{hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:12]}"


_FROZEN_RUN = TypeAdapter(FrozenRun)


def write_run(frozen: FrozenRun) -> None:
    """Write run.json into the run's folder, whole or not at all."""
    write_atomically(frozen.run.folder / RUN_FILE, _FROZEN_RUN.dump_json(frozen, indent=2))


def read_run(folder: Path) -> FrozenRun:
    """The run that was written into `folder`. Raises `ValueError` when its run.json is damaged."""
    return _FROZEN_RUN.validate_json((folder / RUN_FILE).read_bytes(), strict=True)


def write_atomically(path: Path, content: bytes) -> None:
    """Write under a temporary name and rename: a reader never sees half a file."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(content)
    partial.replace(path)
