"""`luthier models` on the servers of the environment, with real imports in processes of their own."""

import asyncio
import json
import os
import shutil
from pathlib import Path

import pytest

from app.program import PROGRAM
from domain.services import Services
from infra.training import tiny
from tests.clients import Api
from tests.infra.training.conftest import write_tiny_gguf

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

NAME = "acme/support"


async def luthier_models(environment: dict[str, str], *arguments: str) -> tuple[int | None, str, str]:
    """The exit code, the output and the errors of `luthier models`."""
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, "models", *arguments,
        env=os.environ | environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, errors = await process.communicate()
    return process.returncode, output.decode(), errors.decode()


async def local_models(api: Api) -> list[str]:
    found = await api.gql("{ baseModels(filter: { source: LOCAL }) { nodes { modelId } } }")
    return [node["modelId"] for node in found["baseModels"]["nodes"]]


@pytest.mark.slow
async def test_a_gguf_becomes_a_base_model_that_is_listed_and_removed(
    api: Api, environment: dict[str, str], tmp_path: Path
) -> None:
    gguf = write_tiny_gguf(tmp_path / "models", tmp_path)
    code, output, errors = await luthier_models(environment, "add", str(gguf), "--name", NAME)
    assert (code, errors) == (0, "")
    assert output.splitlines()[:3] == ["Reading tiny.gguf", "Storing 0.01 GB", f"Added {NAME}: 3.4 M, 7 MB."]
    assert output.splitlines()[3].startswith("Warning: The weights were dequantized from Q8_0 (tiny.gguf)")
    assert NAME in await local_models(api)

    code, output, errors = await luthier_models(environment)
    assert (code, errors) == (0, "")
    [line] = [line for line in output.splitlines() if line.startswith(NAME)]
    assert line.split() == [NAME, "LOCAL", "3.4", "M", "7", "MB", "here,", "bucket"]
    assert "Qwen" not in output
    assert "more can be fetched" in output
    _, output, _ = await luthier_models(environment, "--all")
    assert "Qwen/Qwen3-0.6B " in output

    assert await luthier_models(environment, "remove", NAME) == (0, f"Removed {NAME}.\n", "")
    assert NAME not in await local_models(api)
    code, output, errors = await luthier_models(environment, "remove", NAME)
    assert (code, output, errors) == (1, "", f"There is no base model '{NAME}'.\n")


async def test_what_cannot_be_a_base_model_is_one_sentence_and_leaves_nothing(
    api: Api, services: Services, environment: dict[str, str], tmp_path: Path
) -> None:
    before = await services.storage.keys("models/")
    gguf = tmp_path / "damaged.gguf"
    gguf.write_bytes(b"GGUF\x03\x00\x00\x00")
    folder = tmp_path / "checkpoint"
    shutil.copytree(tiny.ensure_model(tmp_path / "models"), folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "code.Model"}}))
    for source, sentence in (
        (gguf, "The GGUF is damaged or was not copied completely"),
        (folder, "The model names Python code of its own (auto_map)"),
    ):
        code, output, errors = await luthier_models(environment, "add", str(source), "--name", NAME)
        assert (code, output) == (1, f"Reading {source.name}\n")
        assert errors.startswith(sentence)
        assert errors.count("\n") == 1
    assert NAME not in await local_models(api)
    assert await services.storage.keys("models/") == before
    assert services.base_model_cache.abandoned() == []
