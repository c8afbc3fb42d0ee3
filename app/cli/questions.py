"""Questions to a deployed model, and what `luthier tune` prints at its end."""

import csv
import json
import shlex
from pathlib import Path
from typing import Any

import openai
from rich.console import Console

from app.cli.tune_steps import ServedModel, StepPrinter


def ask(model: ServedModel, question: str, console: Console) -> str:
    """Ask one question with the `openai` package and print the answer while it arrives; returns the answer."""
    console.print(question, style="bold", markup=False, highlight=False)
    answer = ""
    messages: Any = [{"role": "user", "content": question}]
    with openai.OpenAI(base_url=model.base_url, api_key=model.key) as client:
        stream = client.chat.completions.create(
            model=model.model, messages=messages, temperature=0, stream=True
        )
        for chunk in stream:
            text = chunk.choices[0].delta.content or "" if chunk.choices else ""
            answer += text
            console.print(text, end="", markup=False, highlight=False)
    console.print()
    return answer.strip()


def ask_three(model: ServedModel, file: Path, steps: StepPrinter) -> None:
    """Ask three rows of a table with two columns; raises `StepFailed` at a wrong answer."""
    with file.open(newline="", encoding="utf-8") as table:
        rows = list(csv.reader(table))[1:]
    with steps.step("Three questions through the openai package"):
        for question, expected in rows[:: max(1, len(rows) // 3)][:3]:
            answer = ask(model, question, steps.console)
            if answer != expected:
                raise ValueError(f"'{question}' was answered '{answer}', not '{expected}'.")


def print_next_steps(model: ServedModel, url: str, console: Console) -> None:
    """Print how to use the model, with a `curl` command."""
    request = {"model": model.model, **model.example}
    body = shlex.quote(json.dumps(request, ensure_ascii=False))
    console.print("\n[bold]Your model[/]")
    for name, value in (
        ("base URL", model.base_url),
        ("model", model.model),
        ("key", f"{model.key}   (shown this once)"),
        ("GraphQL", f"{url}/graphql"),
    ):
        console.print(f"  {name:<9} {value}", soft_wrap=True, highlight=False, markup=False)
    console.print(
        f"\ncurl {model.base_url}/chat/completions -H 'Authorization: Bearer {model.key}' "
        f"-H 'Content-Type: application/json' -d {body}",
        soft_wrap=True,
        highlight=False,
        markup=False,
    )
