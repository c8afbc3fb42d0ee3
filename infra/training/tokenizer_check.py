"""Compares the tokenizer that was rebuilt from a GGUF with llama.cpp's own reading of the GGUF, on texts that differ easily."""

import subprocess
from pathlib import Path

import httpx
from transformers import PreTrainedTokenizerBase

from infra.training.imported_model import ImportRefused
from infra.training.subprocesses import child_process

CONTEXT, THREADS = "64", "2"
TIMEOUT_S = 120.0
TEXTS = (
    "The year 2024 is 12345, 1,000,000 or 1.5e-10", "a1b22 c333 x86_64", " leading", "   three  spaces\t\ttab ",
    "\n\n\nnewlines\r\n", "na\u00efve caf\u00e9 \u00c4\u00d6\u00dc\u00df", "\u65e5\u672c\u8a9e \u4e2d\u6587 \ud55c\uad6d\uc5b4",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f3f3\ufe0f\u200d\U0001f308", "def f(x):\n    return x**2  # ok", "I'm you're we'll IT'S don't",
    "e\u0301 combining", "\u200b zero \u2060width", "\u00bd \u00b2 \u0663 \u2167", "http://a.b/c?d=1&e=2", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "\U0001d518\U0001d52b\U0001d526 \ufb01", "\uff04\uff11\uff12\uff13\u3000wide",
)  # fmt: skip


def check_tokenizer(tokenizer: PreTrainedTokenizerBase, gguf: Path) -> None:
    """Raise `ImportRefused` where llama.cpp cannot load the GGUF, or reads a text as other tokens."""
    arguments = (str(gguf), CONTEXT, THREADS)
    with child_process("infra.training.llama_server", *arguments, stdout=subprocess.PIPE) as process:
        if process.stdout is None or not (address := process.stdout.readline().strip()):
            raise ImportRefused(
                "llama.cpp cannot load the GGUF; it is damaged, or of a kind that is not known."
            )
        with httpx.Client(base_url=address, timeout=TIMEOUT_S, trust_env=False) as client:
            for text in (*TEXTS, *tokenizer.all_special_tokens):
                _check(tokenizer, client, text)


def _check(tokenizer: PreTrainedTokenizerBase, client: httpx.Client, text: str) -> None:
    request = {"content": text, "add_special": False, "parse_special": True}
    expected = client.post("/tokenize", json=request).raise_for_status().json()["tokens"]
    if tokenizer(text, add_special_tokens=False)["input_ids"] != expected:
        raise ImportRefused(
            f"The GGUF's tokenizer cannot be rebuilt exactly: llama.cpp reads {text!a} as other tokens."
        )
