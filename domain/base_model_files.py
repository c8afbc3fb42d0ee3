"""The files of a base model: which ones there are, their manifest, and the digest of the weights."""

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from domain.errors import Invalid
from domain.hashes import sha256_of_file

MANIFEST = "manifest.json"
"""The name of the manifest, in the bucket and on disk; it is written last."""
CONFIGURATION = frozenset({
    "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "tokenizer.model",
    "special_tokens_map.json", "added_tokens.json", "vocab.json", "vocab.txt", "merges.txt",
    "chat_template.jinja", "chat_template.json", "model.safetensors.index.json",
})  # fmt: skip
"""The files that training reads beside the weights."""
WEIGHTS = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors")
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")
CODE_KEY = "auto_map"
"""The key of config.json and tokenizer_config.json that names Python code of the repository."""
NAMES_CODE = f"names Python code of its own ({CODE_KEY}), which is never run here."
"""Why a model is refused that has the key, as a predicate."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file by its name; `sha256` is in hexadecimal."""

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The files of a base model at a revision: a commit of a hub, a package with its version, or None."""

    revision: str | None
    files: tuple[ModelFile, ...]

    @property
    def sha256(self) -> str:
        """The digest of the weights: SHA-256 over a line `NAME SHA256` of each safetensors file, by name."""
        lines = [f"{file.name} {file.sha256}\n" for file in self.files if is_weights(file.name)]
        return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()

    @property
    def size_bytes(self) -> int:
        """The size of all files."""
        return sum(file.size_bytes for file in self.files)

    def to_json(self) -> str:
        """The manifest as it is stored."""
        return json.dumps(asdict(self) | {"sha256": self.sha256}, indent=2)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """A stored manifest. Raises `ValueError` for one that is damaged."""
        try:
            values = json.loads(text)
            files = tuple(
                ModelFile(str(file["name"]), int(file["size_bytes"]), str(file["sha256"]))
                for file in values["files"]
            )
            manifest = cls(values["revision"], files)
            is_whole = manifest.sha256 == values["sha256"] and all(is_model_file(file.name) for file in files)
        except (KeyError, TypeError, RecursionError) as error:
            raise ValueError("The manifest is damaged.") from error
        if not is_whole:
            raise ValueError("The manifest is damaged.")
        return manifest


def is_weights(name: str) -> bool:
    """Whether a file has weights of the model, in safetensors."""
    return WEIGHTS.fullmatch(name) is not None


def is_model_file(name: str) -> bool:
    """Whether a file of a repository or a folder belongs to the base model; all others are left where they are."""
    return name in CONFIGURATION or is_weights(name)


def require_pinned(model_id: str, pinned: str | None, sha256: str) -> None:
    """Raise `Invalid` where the weights are not the ones that a fine-tune began with."""
    if pinned is not None and pinned != sha256:
        raise Invalid(
            f"The weights of the base model {model_id} are not the ones that this fine-tune began with (SHA-256 "
            f"{sha256[:12]}… and not {pinned[:12]}…); create a new fine-tune.",
            reason="BASE_MODEL_CHANGED",
        )


def require_weights(names: list[str], subject: str) -> None:
    """Raise `Invalid` unless safetensors are among the names; `subject` begins the sentence."""
    if any(is_weights(name) for name in names):
        return
    has_pickle = any(name.endswith(PICKLES) for name in names)
    raise Invalid(
        f"{subject} has its weights as pickle, which can run code when it is read; only safetensors and GGUF are used."
        if has_pickle
        else f"{subject} has no weights in safetensors (model.safetensors).",
        reason="MODEL_NOT_USABLE",
    )


def manifest_of(folder: Path, revision: str | None) -> Manifest:
    """The manifest of the files in a folder, each of which is read."""
    paths = sorted(path for path in folder.iterdir() if is_model_file(path.name))
    files = (ModelFile(path.name, path.stat().st_size, sha256_of_file(path)) for path in paths)
    return Manifest(revision, tuple(files))


def weights_digest(folder: Path) -> str:
    """The digest of the weights in a folder, each file of which is read."""
    return manifest_of(folder, None).sha256


def has_code(folder: Path) -> bool:
    """Whether the model's configuration names Python code of its own. Raises `ValueError` for one that is no JSON object."""
    paths = [folder / name for name in ("config.json", "tokenizer_config.json")]
    return any(CODE_KEY in _json_object(path) for path in paths if path.is_file())


def _json_object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError(f"{path.name} is nested too deeply.") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path.name} is no JSON object.")  # noqa: TRY004 - of a file's text
    return found
