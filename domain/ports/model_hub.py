"""The port to the hub that has the files of open-weights models: their descriptions, and the files themselves."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from domain.base_model_files import is_weights


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a repository, by its path; `size_bytes` is None where the hub does not give it."""

    path: str
    size_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HubModel:
    """What a hub says of a model at one commit.

    `revision` is the commit's hash, 40 hexadecimal digits. `config` is config.json, None where the repository has none.
    `num_parameters` and `size_bytes` are those of the weights in safetensors files, None where they are unknown.
    `has_code` is whether config.json or tokenizer_config.json names Python code of the repository (`auto_map`).
    `license` is an identifier such as `apache-2.0`.
    """

    model_id: str
    revision: str
    files: tuple[HubFile, ...]
    config: Mapping[str, Any] | None
    has_code: bool = False
    num_parameters: int | None = None
    size_bytes: int | None = None
    license: str | None = None
    is_gated: bool = False


def weight_files(files: Sequence[HubFile]) -> list[HubFile]:
    """The files with the weights that are fetched: `model.safetensors` or its shards."""
    return [file for file in files if is_weights(file.path)]


Begin = Callable[[int], Awaitable[None]]
Progress = Callable[[int, int], Awaitable[None]]


class ModelHub(Protocol):
    """Reads models of a hub. Foreign errors come out as domain errors.

    `NotFound` (MODEL_NOT_FOUND): there is no such model, or this token may not see it. `Forbidden`: its files need an
    access that the token lacks (MODEL_GATED), or the token is refused (HUB_TOKEN_REFUSED). `Unavailable`
    (HUB_UNAVAILABLE): the hub does not answer, or not with what was asked for.
    """

    async def describe(self, model_id: str) -> HubModel:
        """The model at the newest commit of `main`. Raises `Invalid` for a malformed id, before any request."""
        ...

    async def fetch(
        self, model_id: str, revision: str, folder: Path, *, begin: Begin, progress: Progress
    ) -> None:
        """Have the files of a commit that training needs in `folder`: configuration, tokenizer, safetensors.

        What an earlier call has left there is not read again. `begin` is called with the size of all files in bytes,
        before one is read, and `progress` with how many bytes of how many are there. Raises `Invalid` for a repository
        without safetensors.
        """
        ...
