"""Artifacts: the files that a fine-tune publishes."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from domain.storage_keys import gguf_filename


class ArtifactKind(StrEnum):
    """Kind of an artifact."""

    GGUF = "GGUF"
    ADAPTER = "ADAPTER"
    BASE_MODEL = "BASE_MODEL"
    MERGED = "MERGED"
    CONFIG = "CONFIG"
    METRICS = "METRICS"
    REPORT = "REPORT"
    ARCHIVE = "ARCHIVE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A file of a run in storage."""

    filename: str
    kind: ArtifactKind
    size_bytes: int
    sha256: str
    quantization: str | None = None


def model_artifact(artifacts: Sequence[Artifact], model_name: str) -> Artifact | None:
    """The artifact that the model runtime loads: `{model_name}.gguf`, or else the only GGUF; None where there is neither."""
    named = [artifact for artifact in artifacts if artifact.filename == gguf_filename(model_name)]
    found = named or [artifact for artifact in artifacts if artifact.kind is ArtifactKind.GGUF]
    return found[0] if len(found) == 1 else None
