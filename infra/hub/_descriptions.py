"""A hub's description of a model: its repository at one commit, and the facts in its small files."""

from collections.abc import Mapping
from math import prod
from typing import Annotated, Any, TypeGuard
from urllib.parse import quote

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from domain.base_models import validated_model_id
from domain.errors import DomainError
from domain.ports.model_hub import HubFile, HubModel, weight_files
from domain.texts import replace_invalid_characters
from infra.hub._requests import HubRequests, hub_unavailable

MAX_DESCRIPTION_BYTES = 8_000_000
MAX_CONFIG_BYTES = 1_000_000
MAX_TOKENIZER_CONFIG_BYTES = 8_000_000
"""Gemma's lists thousands of unused tokens."""
MAX_INDEX_BYTES = 16_000_000
MAX_HEADER_BYTES = 25_000_000
"""The longest header that the format safetensors allows."""
INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
BYTES_OF_DTYPE = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}

MAX_SIZE = 2**62
"""Most bytes or parameters that are believed; the database has 63 bits."""
MAX_DIMENSIONS = 8

Count = Annotated[int, Field(ge=0, lt=2**63)]


class _Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Sibling(_Lenient):
    rfilename: str
    size: Count | None = None


class _Safetensors(_Lenient):
    total: Count | None = None


class _Repository(_Lenient):
    """What is read of the answer to `/api/models/{id}`."""

    id: str
    sha: Annotated[str, Field(pattern="^[0-9a-f]{40}$")]
    gated: bool | str = False
    siblings: list[_Sibling] = []
    safetensors: _Safetensors | None = None
    cardData: Mapping[str, Any] | None = None  # noqa: N815 - the hub's name


async def describe(requests: HubRequests, model_id: str) -> HubModel:
    """The model at the newest commit of `main`; raises what `HubRequests.json` raises."""
    path = f"api/models/{model_id}/revision/main?blobs=true"
    repository = _repository(await requests.json(path, max_bytes=MAX_DESCRIPTION_BYTES))
    files = _Files(requests, repository)
    config = await files.json("config.json", max_bytes=MAX_CONFIG_BYTES)
    tokenizer_config = await files.json("tokenizer_config.json", max_bytes=MAX_TOKENIZER_CONFIG_BYTES)
    listed = tuple(HubFile(file.rfilename, file.size) for file in repository.siblings)
    return HubModel(
        model_id=repository.id,
        revision=repository.sha,
        files=listed,
        config=config,
        has_code=any("auto_map" in found for found in (config, tokenizer_config) if found is not None),
        num_parameters=await _num_parameters(repository, files, config or {}),
        size_bytes=_size(listed),
        license=_license(repository.cardData or {}),
        is_gated=bool(repository.gated),
    )


class _Files:
    """The files of a repository's commit."""

    def __init__(self, requests: HubRequests, repository: _Repository) -> None:
        self._requests = requests
        self._folder = f"{repository.id}/resolve/{repository.sha}"
        self._names = {file.rfilename for file in repository.siblings}

    async def json(self, name: str, *, max_bytes: int) -> dict[str, Any] | None:
        """The JSON object in a file; None where the repository has no such file. Raises `Unavailable` for other JSON."""
        if name not in self._names:
            return None
        found = await self._requests.json(f"{self._folder}/{quote(name)}", max_bytes=max_bytes)
        if not isinstance(found, dict):
            raise hub_unavailable(f"has a {name} of this model that is no object")
        return found

    async def header(self, name: str) -> dict[str, Any] | None:
        """The header of a safetensors file; None where the repository has none, or it is not one of this host."""
        if name not in self._names:
            return None
        path = f"{self._folder}/{quote(name)}"
        try:
            length = int.from_bytes(await self._requests.body(path, max_bytes=8, span=(0, 7)), "little")
            if length > MAX_HEADER_BYTES:
                return None
            header = await self._requests.body(path, max_bytes=length, span=(8, 7 + length))
            found = orjson.loads(header)
        except (DomainError, ValueError):  # large files are mostly on another host, which is not asked
            return None
        return found if isinstance(found, dict) else None


def _repository(answer: Any) -> _Repository:
    try:
        repository = _Repository.model_validate(answer)
        validated_model_id(repository.id)
    except (ValidationError, DomainError):
        raise hub_unavailable("answers with something that is no description of a model") from None
    return repository


async def _num_parameters(repository: _Repository, files: _Files, config: Mapping[str, Any]) -> int | None:
    """What the hub has counted, else what the weights' index or header has, else as many as fit into their files."""
    if repository.safetensors is not None and repository.safetensors.total:
        return repository.safetensors.total
    index = await files.json(INDEX, max_bytes=MAX_INDEX_BYTES)
    metadata = index.get("metadata") if index is not None else None
    if isinstance(metadata, dict):
        if _is_size(counted := metadata.get("total_parameters")):
            return counted
        if _is_size(total := metadata.get("total_size")):
            return total // _bytes_per_parameter(config)
    if (header := await files.header(SINGLE)) is not None:
        return _counted(header)
    size = _size(tuple(HubFile(file.rfilename, file.size) for file in repository.siblings))
    return None if size is None else size // _bytes_per_parameter(config)


def _bytes_per_parameter(config: Mapping[str, Any]) -> int:
    text = config.get("text_config")
    configs = (config, text) if isinstance(text, dict) else (config,)
    names = (found.get(key) for found in configs for key in ("dtype", "torch_dtype"))
    return next(
        (BYTES_OF_DTYPE[name] for name in names if isinstance(name, str) and name in BYTES_OF_DTYPE), 2
    )


def _is_size(value: Any) -> TypeGuard[int]:
    """Whether a value of the hub's is a number that a model can have of something."""
    return type(value) is int and 0 <= value <= MAX_SIZE


def _counted(header: Mapping[str, Any]) -> int | None:
    """The number of elements of all tensors of a safetensors header; None where it is malformed."""
    tensors = [tensor for name, tensor in header.items() if name != "__metadata__"]
    shapes = [tensor.get("shape") if isinstance(tensor, dict) else None for tensor in tensors]
    if not all(
        isinstance(shape, list) and len(shape) <= MAX_DIMENSIONS and all(map(_is_size, shape))
        for shape in shapes
    ):
        return None  # the product of many large numbers would take hours
    counted = sum(prod(shape) for shape in shapes if shape is not None)
    return counted if _is_size(counted) else None


def _size(files: tuple[HubFile, ...]) -> int | None:
    """The bytes of the weights; None where a size is unknown or there are none."""
    sizes = [file.size_bytes for file in weight_files(files)]
    known = [size for size in sizes if size is not None]
    return sum(known) if known and len(known) == len(sizes) else None


def _license(card: Mapping[str, Any]) -> str | None:
    """The license of a model card: where it is `other`, the name that the card gives."""
    found = card.get("license")
    names = [card.get("license_name"), found] if found == "other" else [found]
    texts = (replace_invalid_characters(name[:100]) for name in names if isinstance(name, str))
    return next(filter(None, texts), None)
