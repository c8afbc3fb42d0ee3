"""Catalog files: lists of entries in YAML."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from domain.base_models import TINY, BaseModel
from infra.catalog._entries import Entry

OURS = Path(__file__).parent / "base_models.yaml"


class CatalogError(Exception):
    """A catalog file cannot be read; the message ends a sentence that names the file."""


def read_catalog(own: Path | None = None) -> tuple[BaseModel, ...]:
    """The models of every installation, and those of an operator's own file, whose entries go over ours by `modelId`.

    Raises `CatalogError` with the line of the first entry that is wrong.
    """
    ours = {model_id: entry for model_id, (_, entry) in _entries(OURS).items()}
    theirs = _entries(own) if own is not None else {}
    merged = {model_id: (line, ours.get(model_id, {}) | entry) for model_id, (line, entry) in theirs.items()}
    entries = {model_id: (0, entry) for model_id, entry in ours.items()} | merged
    models = (TINY, *(_record(line, entry) for line, entry in entries.values()))
    _require_distinct(models)
    return models


def _entries(path: Path) -> Mapping[str, tuple[int, dict[str, Any]]]:
    """The line and the values of each entry by its `modelId`."""
    found: dict[str, tuple[int, dict[str, Any]]] = {}
    for line, entry in _parsed(path):
        model_id = entry.get("modelId")
        if not isinstance(model_id, str):
            raise CatalogError(f"line {line}: an entry needs a modelId.")
        if model_id in found:
            raise CatalogError(f"line {line}: {model_id} is there twice, first in line {found[model_id][0]}.")
        found[model_id] = line, entry
    return found


def _parsed(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """The line of each entry of a file, from 1, and its values."""
    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        root = loader.get_single_node()
        if root is None:
            return []
        entries = loader.construct_document(root)
    except OSError as error:
        raise CatalogError(f"it cannot be read: {error.strerror}.") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise CatalogError(f"line {line}: it is not YAML: {error.problem}.") from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise CatalogError("it is not YAML in UTF-8.") from None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise CatalogError("line 1: it is a list of entries, each of which begins with `- modelId: `.")
    return [(node.start_mark.line + 1, entry) for node, entry in zip(root.value, entries, strict=True)]


def _record(line: int, entry: Mapping[str, Any]) -> BaseModel:
    try:
        return Entry.model_validate(entry).record()
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        reason = first["msg"].removeprefix("Value error, ").rstrip(".")
        key = f"{name}: " if name else ""
        raise CatalogError(f"line {line}, {entry['modelId']}: {key}{reason}.") from None


def _require_distinct(models: tuple[BaseModel, ...]) -> None:
    names: dict[str, str] = {}
    for model in models:
        if model.model_id in names.values():
            raise CatalogError(f"{model.model_id} is made by Luthier and has no entry.")
        if model.id in names:
            raise CatalogError(f"{model.model_id} has the id of {names[model.id]}.")
        names[model.id] = model.model_id
