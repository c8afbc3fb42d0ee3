"""From the adapter to the GGUF: merge, save, convert."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from peft import PeftModel
from transformers import PreTrainedModel

from domain.ports.trainer import TrainingFailed
from infra.training.base_model import Base
from infra.training.reporter import Reporter
from infra.training.subprocesses import child, finished

QUANTIZATION = "q8_0"
CANNOT_CONVERT = "llama.cpp's converter cannot export this base model to GGUF; the log's last lines say why."


def merged(model: PreTrainedModel, adapter: Path) -> PreTrainedModel:
    """`model` with the adapter folded into its weights."""
    tuned = PeftModel.from_pretrained(model, adapter).merge_and_unload()
    tuned.eval()
    return tuned


def save(model: PreTrainedModel, base: Base, folder: Path) -> None:
    """Write the merged model as the converter wants it."""
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    base.tokenizer.save_pretrained(folder)
    pieces = base.folder / "tokenizer.model"
    if pieces.exists():
        shutil.copy(pieces, folder / pieces.name)
    _tell_the_truth(base, folder / "tokenizer_config.json")


def check(base: Base, scratch: Path, say: Reporter) -> None:
    """Raise `TrainingFailed` when the converter does not know the base model.

    It takes seconds, and saves the hours of a training whose result nobody could serve.
    """
    arguments = ["--vocab-only", "--outfile", str(scratch), str(base.folder)]
    with child("infra.training.convert", *arguments) as process:
        if finished(process, say):
            raise TrainingFailed(CANNOT_CONVERT)
    scratch.unlink()


@contextmanager
def converting(folder: Path, gguf: Path, name: str, say: Reporter) -> Iterator[None]:
    """Convert `folder` into `gguf` while the block runs; it is there, whole, when the block ends."""
    partial = gguf.with_name(f".{gguf.name}.partial")
    arguments = ["--outtype", QUANTIZATION, "--model-name", name, "--outfile", str(partial), str(folder)]
    with child("infra.training.convert", *arguments) as process:
        yield
        if finished(process, say):
            raise TrainingFailed(CANNOT_CONVERT)
    partial.replace(gguf)


def _tell_the_truth(base: Base, settings: Path) -> None:
    """Have the GGUF add what the template and the tokenizer add, and nothing else.

    The converter believes tokenizer_config.json, and takes what is missing there for true: without
    this the GGUF puts a BOS and a space where training had none, and answers wrongly with no error.
    """
    tokenizer = base.tokenizer
    prompt = base.token_ids([{"role": "user", "content": "a"}], answering=True)
    truth = {
        "add_bos_token": prompt[0] == tokenizer.bos_token_id,
        "add_eos_token": False,
        "add_prefix_space": tokenizer.convert_ids_to_tokens(_plain(base))[0].startswith("▁"),
    }
    settings.write_text(json.dumps(json.loads(settings.read_text()) | truth, indent=2))


def _plain(base: Base) -> list[int]:
    ids: list[int] = base.tokenizer("a", add_special_tokens=False)["input_ids"]
    return ids
