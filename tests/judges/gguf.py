"""A second opinion on an exported GGUF: `ggufdoctor`, which brings a template engine of llama.cpp of its own.

It renders conversations with the GGUF's chat template in Jinja and in llama.cpp, and compares both with the
template that the model was trained with. It needs no network.
"""

from dataclasses import replace
from pathlib import Path

from ggufdoctor.checks.cross_engine import run_cross_engine_checks
from ggufdoctor.checks.reference import run_reference_checks
from ggufdoctor.checks.sanity import run_sanity_checks
from ggufdoctor.engines.registry import ENGINE_NAMES, select_engines
from ggufdoctor.fixtures import load_fixtures
from ggufdoctor.models import CheckContext, Finding, Fixture, Severity
from ggufdoctor.reader import read_gguf_file

CHECKS = (run_sanity_checks, run_cross_engine_checks, run_reference_checks)
"""All but those of Ollama's own templates, which it takes in the place of one that resembles them."""
FUNCTION = {
    "name": "get_time",
    "description": "The time, à présent, in a <city>.",
    "parameters": {"type": "object"},
}
CALLS = [
    {
        "id": city,
        "type": "function",
        "function": {"name": "get_time", "arguments": {"city": city, "zone": None}},
    }
    for city in ("Oslo", "Київ")
]
SEVERAL_CALLS = Fixture(
    "several_calls",
    {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What time is it?"},
            {"role": "assistant", "content": "", "reasoning_content": "Two cities.", "tool_calls": CALLS},
            {"role": "tool", "tool_call_id": "Oslo", "content": "14:05"},
            {"role": "tool", "tool_call_id": "Київ", "content": "15:05"},
            {"role": "assistant", "content": "14:05 and 15:05."},
            {"role": "user", "content": "Thanks."},
        ],
        "tools": [{"type": "function", "function": FUNCTION}],
        "add_generation_prompt": True,
    },
    tier="extended",
)
"""What the conversations of `ggufdoctor` lack: several calls and their results, reasoning, other letters."""


def assert_healthy(gguf: Path, tokenizer_folder: Path) -> None:
    """Fail where the GGUF renders otherwise in llama.cpp than in Jinja, or than the tokenizer that it was trained with.

    `tokenizer_folder` has the tokenizer as it was saved by the training.
    """
    template = (tokenizer_folder / "chat_template.jinja").read_text(encoding="utf-8")
    assert problems_of(gguf, template) == []


def problems_of(gguf: Path, trained_template: str) -> list[str]:
    """What `ggufdoctor` finds in a GGUF, one line each, and what it could not check."""
    engines = select_engines(list(ENGINE_NAMES)).engines
    context = CheckContext(
        model=read_gguf_file(str(gguf)),
        engines=engines,
        fixtures=[_with_texts(fixture) for fixture in (*load_fixtures(), SEVERAL_CALLS)],
        upstream_template=trained_template,
    )
    findings = [finding for check in CHECKS for finding in check(context)]
    unchecked = [f"{check} could not be checked" for check in context.checks_not_evaluated]
    return [_line(finding) for finding in findings if finding.severity is not Severity.INFO] + unchecked


def _with_texts(fixture: Fixture) -> Fixture:
    """The conversation with the empty text for a null content, as training and llama.cpp give it to templates."""
    messages = [
        message | {"content": "" if message["content"] is None else message["content"]}
        for message in fixture.context["messages"]
    ]
    return replace(fixture, context=fixture.context | {"messages": messages})


def _line(finding: Finding) -> str:
    return (
        f"{finding.id} {finding.severity.value}: {finding.message} {finding.fixture or ''} {finding.evidence}"
    )
