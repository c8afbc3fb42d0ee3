"""Makes a base model of a GGUF or a folder: `python -m infra.training.model_import SOURCE FOLDER`.

It is a process of its own: a damaged file may have it read for ever, take all memory or crash. The last line that it
prints is an `ImportOutcome`.
"""

import json
import os
import resource
import shutil
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from transformers import AutoTokenizer, PreTrainedTokenizerBase
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from domain.base_model_files import NAMES_CODE, has_code, is_model_file, is_weights, require_weights
from domain.errors import Invalid
from domain.ports.model_importer import ImportedModel
from infra.child_processes import signal_on_parent_death
from infra.training.gguf_header import GgufHeader, InvalidGguf, read_header
from infra.training.gguf_import import dtype_of, import_gguf
from infra.training.imported_model import OUTCOME, ImportOutcome, ImportRefused
from infra.training.safetensors_header import InvalidSafetensors, TensorShape, read_shapes
from infra.training.subprocesses import child_process
from infra.training.tokenizer_check import check_tokenizer

MEMORY_FACTOR = 4
"""The limit of the process's addresses, as a multiple of the machine's memory: a length that is damaged asks for more."""
SPARE_BYTES = 100_000_000
"""What an import leaves free on the disk."""
INDEX = "model.safetensors.index.json"


def import_model(source: Path, folder: Path) -> ImportedModel:
    """Write the files of a base model into `folder`. Raises `ImportRefused`, `InvalidGguf` or `InvalidSafetensors`."""
    if source.is_dir():
        _copy(source, folder)
        return _checked(folder, None, ())
    if not source.is_file():
        raise ImportRefused(f"{source.name} is neither a file nor a folder.")  # a pipe would be waited for
    header = read_header(source)
    weights = sum(header.weights.values()) * dtype_of(header).itemsize
    _require_space(folder, weights)
    warnings = import_gguf(source, header, folder)
    model = _checked(folder, header, warnings)
    check_tokenizer(_tokenizer(folder), source)
    return model


def _copy(source: Path, folder: Path) -> None:
    """Copy the files that are a base model's; a link to a file outside of the folder is none."""
    paths = [path for path in source.iterdir() if is_model_file(path.name) and path.is_file()]
    if outside := next((path for path in paths if path.resolve().parent != source.resolve()), None):
        raise ImportRefused(
            f"{outside.name} is a link to a file outside of the folder, which is not followed."
        )
    _require_weights(source, paths)
    _require_space(folder, sum(path.stat().st_size for path in paths))
    for path in paths:
        shutil.copyfile(path, folder / path.name)


def _require_weights(source: Path, paths: list[Path]) -> None:
    try:
        require_weights([path.name for path in source.iterdir()], "The folder")
    except Invalid as error:
        raise ImportRefused(error.message) from error
    if not any(path.name == "config.json" for path in paths):
        raise ImportRefused("The folder has no config.json, which says what architecture the weights are of.")


def _require_space(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if size + SPARE_BYTES > free:
        raise ImportRefused(
            f"The model needs {size / 1e9:.1f} GB on the disk, which has {free / 1e9:.1f} GB free."
        )


def _checked(folder: Path, header: GgufHeader | None, warnings: tuple[str, ...]) -> ImportedModel:
    """The facts of the model, after everything was checked that would fail a training of hours at its end."""
    config = _config(folder)
    architecture = _architecture(config)
    shapes = _shapes(folder)
    tokenizer = _tokenizer(folder)
    if tokenizer.eos_token is None:
        raise ImportRefused(
            "The model's tokenizer has no end-of-sequence (EOS) token, so a fine-tuned model could never stop."
        )
    _require_convertible(folder)
    return ImportedModel(
        base_architecture=config["model_type"],
        architecture=architecture,
        num_parameters=sum(shape.parameters for shape in shapes.values()),
        vocab_size=_number(config, "vocab_size"),
        max_position_embeddings=_number(config, "max_position_embeddings"),
        license=header.text("general.license") if header else None,
        warnings=warnings if tokenizer.chat_template else (*warnings, "The model brings no chat template."),
    )


def _config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        is_code = has_code(folder)
    except (ValueError, RecursionError) as error:
        raise ImportRefused("config.json or tokenizer_config.json is no JSON.") from error
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise ImportRefused("config.json names no model_type.")
    if is_code:
        raise ImportRefused(f"The model {NAMES_CODE}")
    if "quantization_config" in config:
        raise ImportRefused("The model's weights are quantized; bring the ones that are not, or a GGUF.")
    return config


def _architecture(config: dict[str, Any]) -> str:
    known = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(config["model_type"])
    if known is None:
        raise ImportRefused(
            f"The architecture '{config['model_type']}' is not a language model that can be trained."
        )
    names = config.get("architectures") or [known]
    if not isinstance(names, list) or not str(names[0]).endswith(("ForCausalLM", "LMHeadModel")):
        raise ImportRefused(f"The architecture '{names}' is not a language model that answers in text.")
    return str(names[0])


def _shapes(folder: Path) -> dict[str, TensorShape]:
    """The tensors of all files. Raises `ImportRefused` where the index names files or tensors that are not there."""
    shapes: dict[str, TensorShape] = {}
    for path in sorted(folder.iterdir()):
        if is_weights(path.name):
            shapes |= read_shapes(path)
    if not shapes:
        raise ImportRefused("The model's safetensors have no weights.")
    if (folder / INDEX).is_file():
        named = _named_in_index(folder)
        if missing := sorted(named - set(shapes)):
            raise ImportRefused(f"The folder lacks a file with weights: {missing[0]} is in none.")
    return shapes


def _named_in_index(folder: Path) -> set[str]:
    try:
        return set(dict(json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"]))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ImportRefused(f"{INDEX} does not list the model's weights; it is damaged.") from error


def _tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # whatever transformers raises for files that are not a tokenizer's
        raise ImportRefused(
            "The model's tokenizer cannot be read; it lacks a file, or one is damaged."
        ) from error


def _require_convertible(folder: Path) -> None:
    """Run llama.cpp's converter on the tokenizer and the configuration alone, which takes seconds."""
    scratch = folder / ".check.gguf"
    with child_process(
        "infra.training.convert", "--vocab-only", "--outfile", str(scratch), str(folder)
    ) as process:
        returncode = process.wait()
    scratch.unlink(missing_ok=True)
    if returncode:
        raise ImportRefused(
            "llama.cpp's converter does not know the model's architecture or tokenizer, so that nothing trained from it "
            "could be exported."
        )


def _number(config: dict[str, Any], name: str) -> int | None:
    value = config.get(name)
    return value if isinstance(value, int) else None


def _outcome(source: Path, folder: Path) -> ImportOutcome:
    try:
        return ImportOutcome(model=import_model(source, folder))
    except (ImportRefused, InvalidGguf, InvalidSafetensors) as refusal:
        return ImportOutcome(refused=str(refusal))
    except MemoryError:
        return ImportOutcome(refused="The machine has too little memory for the model.")


def _limit() -> None:
    with suppress(ValueError, OSError):
        size = MEMORY_FACTOR * psutil.virtual_memory().total
        resource.setrlimit(resource.RLIMIT_AS, (size, size))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    signal_on_parent_death(int(os.environ["PARENT_PID"]), signal.SIGKILL)
    _limit()
    outcome = _outcome(Path(sys.argv[1]), Path(sys.argv[2]))
    sys.stdout.write(f"\n{OUTCOME.dump_json(outcome).decode()}\n")
