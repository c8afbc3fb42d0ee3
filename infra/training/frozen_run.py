"""The frozen configuration of one run: written once by the worker, read by the training process."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from domain.finetunes import FinetuneMethod, Hyperparameters
from domain.ports.trainer import TrainingRun

NAME = "run.json"


@dataclass(frozen=True, slots=True)
class FrozenRun:
    """A run, where base models are kept, and the SHA-256 of the items."""

    run: TrainingRun
    models_folder: Path
    items_sha256: str

    @classmethod
    def of(cls, run: TrainingRun, models_folder: Path) -> Self:
        """Freeze `run` as it is now; reads the items file to hash it."""
        return cls(run, models_folder, sha256(run.items_path))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The run that was written into `folder`."""
        fields = json.loads((folder / NAME).read_text())
        return cls(_run(fields["run"]), Path(fields["models_folder"]), fields["items_sha256"])

    def write(self) -> None:
        """Write run.json into the run's folder, whole or not at all."""
        write_whole(self.run.folder / NAME, json.dumps(asdict(self), default=str, indent=2).encode())

    @property
    def work_folder(self) -> Path:
        """Where this run's checkpoints lie.

        Named after all that decides the curve: a run that was changed under the same folder never
        goes on from the checkpoints of another.
        """
        run = self.run
        decisive = [run.base_model_name, run.method, asdict(run.hyperparameters), run.seed, self.items_sha256]
        return run.folder / f"work-{hashlib.sha256(json.dumps(decisive).encode()).hexdigest()[:12]}"


def sha256(path: Path) -> str:
    """The file's SHA-256 in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_whole(path: Path, content: bytes) -> None:
    """Write under a temporary name and rename: a reader never sees half a file."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(content)
    partial.replace(path)


def _run(fields: dict[str, Any]) -> TrainingRun:
    knobs = fields["hyperparameters"]
    return TrainingRun(
        **fields
        | {
            "method": FinetuneMethod(fields["method"]),
            "hyperparameters": Hyperparameters(**knobs | {"target_modules": tuple(knobs["target_modules"])}),
            "items_path": Path(fields["items_path"]),
            "folder": Path(fields["folder"]),
        },
    )
