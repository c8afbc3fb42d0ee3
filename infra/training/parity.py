"""Does the GGUF in llama.cpp answer as the tuned model does? Rendered template, token ids, greedy outputs.

"Good in training, garbage after GGUF" is this field's most repeated failure, and it raises no error
anywhere: it has to be looked for.
"""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from domain.finetunes import ParityReport
from infra.training.base_model import Base, Conversation
from infra.training.reporter import Reporter
from infra.training.subprocesses import child

PROMPTS = 16  # at most
TOKENS = 32  # of each answer: q8_0's rounding may turn a late token of a long one
ENOUGH = 0.9  # of the answers must be equal
SECONDS = 300.0  # for one answer, at most


@dataclass(frozen=True, slots=True)
class Answered:
    """A prompt and what one side made of it."""

    prompt: str
    rendered: str
    token_ids: list[int]
    output: str


def ours(base: Base, conversations: Sequence[Conversation], outputs: Sequence[str]) -> list[Answered]:
    """What the tuned model, in torch, made of each prompt."""
    return [
        Answered(
            prompt=each[0]["content"],
            rendered=base.rendered(each, answering=True),
            token_ids=base.token_ids(each, answering=True),
            output=output,
        )
        for each, output in zip(conversations, outputs, strict=True)
    ]


def theirs(gguf: Path, conversations: Sequence[Conversation], context: int, say: Reporter) -> list[Answered]:
    """What the GGUF, in llama.cpp, made of each prompt.

    Raises `OSError` or `httpx.HTTPError` when it does not load or answer, `Interrupted` when the run
    is asked to stop.
    """
    answered = []
    with _served(gguf, context) as client:
        for each in conversations:
            say.heed()
            answered.append(_asked(client, each))
    return answered


def compare(tuned: Sequence[Answered], exported: Sequence[Answered], bos: str | None) -> ParityReport:
    """Hold one side against the other."""
    pairs = list(zip(tuned, exported, strict=True))
    templates = [(a, b) for a, b in pairs if _without(a.rendered, bos) != _without(b.rendered, bos)]
    tokens = [(a, b) for a, b in pairs if a.token_ids != b.token_ids]
    outputs = [(a, b) for a, b in pairs if _tidy(a.output) != _tidy(b.output)]
    matching = len(pairs) - len(outputs)
    return ParityReport(
        passed=not templates and not tokens and matching >= ENOUGH * len(pairs),
        prompts_compared=len(pairs),
        template_matches=not templates,
        token_ids_match=not tokens,
        outputs_matching=matching,
        detail=_detail(templates, tokens, outputs, len(pairs)),
    )


def unloadable(error: Exception, prompts: int) -> ParityReport:
    """The report for a GGUF that llama.cpp does not load or answer with."""
    return ParityReport(
        passed=False,
        prompts_compared=prompts,
        template_matches=False,
        token_ids_match=False,
        outputs_matching=0,
        detail=f"llama.cpp could not answer with the exported GGUF: {error}",
    )


@contextmanager
def _served(gguf: Path, context: int) -> Iterator[httpx.Client]:
    threads = str(os.cpu_count() or 1)
    arguments = (str(gguf), str(context), threads)
    with child("infra.training.llama_server", *arguments, stdout=subprocess.PIPE) as process:
        if process.stdout is None or not (address := process.stdout.readline().strip()):
            raise OSError("it does not load")
        with httpx.Client(base_url=address, timeout=SECONDS, trust_env=False) as client:
            yield client


def _asked(client: httpx.Client, conversation: Conversation) -> Answered:
    rendered = _post(client, "/apply-template", {"messages": conversation})["prompt"]
    tokens = {"content": rendered, "add_special": True, "parse_special": True}
    asked = {
        "messages": conversation,
        "max_tokens": TOKENS,
        "temperature": 0,
        "cache_prompt": False,
        "reasoning_format": "none",
    }
    answer = _post(client, "/v1/chat/completions", asked)["choices"][0]["message"]["content"]
    ids = _post(client, "/tokenize", tokens)["tokens"]
    return Answered(conversation[0]["content"], rendered, ids, answer or "")


def _post(client: httpx.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = client.post(path, json=body).raise_for_status().json()
    return answer


def _without(rendered: str, bos: str | None) -> str:
    """llama.cpp leaves the BOS to its tokenizer; the token ids show whether it came back."""
    return rendered.removeprefix(bos) if bos else rendered


def _tidy(output: str) -> str:
    """Without the ends that both sides treat differently: spaces, and a letter that the limit cut in half."""
    return output.rstrip("\ufffd").strip()


def _detail(
    templates: list[tuple[Answered, Answered]],
    tokens: list[tuple[Answered, Answered]],
    outputs: list[tuple[Answered, Answered]],
    compared: int,
) -> str | None:
    said = []
    for what, pairs, part in (
        ("rendered templates", templates, "rendered"),
        ("token ids", tokens, "token_ids"),
        ("outputs", outputs, "output"),
    ):
        if pairs:
            a, b = pairs[0]
            said.append(
                f"{len(pairs)} of {compared} {what} differ, first for {a.prompt!r}: "
                f"the tuned model has {getattr(a, part)!r}, the GGUF {getattr(b, part)!r}"
            )
    return "; ".join(said) or None
