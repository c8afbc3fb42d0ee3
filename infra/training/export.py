"""From the adapter to the GGUF: merge, save, convert."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from peft import PeftModel
from transformers import PreTrainedModel

from domain.conversations import Conversation
from domain.ports.trainer import TrainingFailed, TrainingRun
from infra.training import gguf_metadata
from infra.training.base_model import LocalBaseModel
from infra.training.gguf_tokens import disable_impossible_bytes
from infra.training.reporter import Reporter
from infra.training.subprocesses import child_process, wait_for_exit

ASKED = Conversation(messages=[{"role": "user", "content": "a"}])
QUANTIZATION = "q8_0"
CANNOT_CONVERT = "llama.cpp's converter cannot export this base model to GGUF; the log's last lines say why."


def merge_adapter(model: PreTrainedModel, adapter: Path) -> PreTrainedModel:
    """`model` with the adapter added to its weights."""
    merged = PeftModel.from_pretrained(model, adapter).merge_and_unload()
    merged.eval()
    return merged


def save_merged(model: PreTrainedModel, base_model: LocalBaseModel, folder: Path) -> None:
    """Write the merged model and its tokenizer as the converter reads them."""
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    _restore_config(model, base_model.folder / "config.json", folder / "config.json")
    base_model.save_tokenizer(folder)
    _set_tokenizer_flags(base_model, folder / "tokenizer_config.json")


def check_convertible(base_model: LocalBaseModel, scratch: Path, reporter: Reporter) -> None:
    """Raise `TrainingFailed` when the converter does not support the base model.

    It takes seconds, and saves a training of hours whose result could not be served. `scratch` is the path
    of a temporary file.
    """
    arguments = ["--vocab-only", "--outfile", str(scratch), str(base_model.folder)]
    with child_process("infra.training.convert", *arguments) as process:
        if wait_for_exit(process, reporter):
            raise TrainingFailed(CANNOT_CONVERT)
    scratch.unlink()


@contextmanager
def converting(folder: Path, gguf: Path, run: TrainingRun, reporter: Reporter) -> Iterator[None]:
    """Convert `folder` into `gguf` while the block runs; the whole file is at `gguf` when the block ends."""
    partial = gguf.with_name(f".{gguf.name}.partial")
    (folder / "README.md").write_text(gguf_metadata.converter_card(run), encoding="utf-8")
    arguments = ["--outtype", QUANTIZATION, "--outfile", str(partial), str(folder)]
    with child_process("infra.training.convert", *arguments) as process:
        yield
        if wait_for_exit(process, reporter):
            raise TrainingFailed(CANNOT_CONVERT)
    disable_impossible_bytes(partial)
    partial.replace(gguf)


def _restore_config(model: PreTrainedModel, published: Path, saved: Path) -> None:
    """Put back the published configuration of the same class: the converter misses values in what Transformers writes."""
    if type(model).__name__ in json.loads(published.read_text()).get("architectures", []):
        shutil.copyfile(published, saved)


def _set_tokenizer_flags(base_model: LocalBaseModel, config: Path) -> None:
    """Have the GGUF add the special tokens that the template and the tokenizer add, and no others.

    The converter copies these flags from tokenizer_config.json and takes a missing one for true: without
    them the GGUF adds a BOS and a space that training did not have, and answers wrongly without an error.
    """
    tokenizer = base_model.tokenizer
    prompt_ids = base_model.token_ids(ASKED, add_generation_prompt=True)
    text_ids: list[int] = tokenizer("a", add_special_tokens=False)["input_ids"]
    flags = {
        "add_bos_token": prompt_ids[0] == tokenizer.bos_token_id,
        "add_eos_token": False,
        "add_prefix_space": tokenizer.convert_ids_to_tokens(text_ids)[0].startswith("▁"),
    }
    config.write_text(json.dumps(json.loads(config.read_text()) | flags, indent=2))
