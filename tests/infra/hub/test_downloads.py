"""What a hub lists as a model's files, and what is not fetched of it."""

from pathlib import Path
from typing import Any

import pytest

from domain.errors import Unavailable
from infra.hub import HuggingFaceHub
from tests.fakes import hub as fake_hub
from tests.fakes.hub import FakeHub
from tests.hub_models import add_model

pytestmark = pytest.mark.anyio


def files_in(folder: Path) -> set[str]:
    """The names of all files in a folder, at any depth."""
    return {path.name for path in folder.rglob("*") if path.is_file()}


async def fetch(hub: FakeHub, folder: Path) -> list[int]:
    """Fetch the model into a folder; the size that was announced."""
    sizes: list[int] = []

    async def begin(size: int) -> None:
        sizes.append(size)

    async def progress(present: int, size: int) -> None:
        """Nothing is shown."""

    await HuggingFaceHub(hub.url, None, timeout_s=1.0).fetch(
        "acme/small", hub.repositories["acme/small"].revision, folder, begin=begin, progress=progress
    )
    return sizes


async def test_the_files_of_the_model_are_fetched_and_no_others(hub: FakeHub, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    add_model(hub, files={"../config.json": "{}", "code.py": "exit()", "/etc/model.safetensors": b"x"})
    await fetch(hub, folder)
    assert files_in(tmp_path) == {
        "config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors",
    }  # fmt: skip


@pytest.mark.parametrize(
    "member",
    [
        {"size": -1},
        {"size": 2**63},
        {"size": "7"},
        {"oid": "../../../outside"},
        {"oid": "a\0"},
        {"oid": None},
        {"oid": []},
        {"size": 79_000_000_000, "path": "config.json"},
    ],
)
async def test_a_file_with_an_impossible_size_or_digest_is_a_fault_of_the_hub(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, member: dict[str, Any]
) -> None:
    add_model(hub)
    entry = fake_hub.tree_entry
    monkeypatch.setattr(
        fake_hub, "tree_entry", lambda name, content: entry(name, content) | {"lfs": None} | member
    )
    with pytest.raises(Unavailable, match="no list of files"):
        await fetch(hub, tmp_path)
    assert files_in(tmp_path) == set()
