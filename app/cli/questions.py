"""What a tuned model is asked from the command line, and what to do with it next."""

import csv
import json
import shlex
from pathlib import Path
from typing import Any

import openai
from rich.console import Console

from app.cli.main_job import Served, Story


def ask(served: Served, question: str, console: Console) -> str:
    """One question through the `openai` package, its answer printed as it comes."""
    console.print(question, style="bold", markup=False, highlight=False)
    answer = ""
    messages: Any = [{"role": "user", "content": question}]
    with openai.OpenAI(base_url=served.base_url, api_key=served.key) as model:
        stream = model.chat.completions.create(
            model=served.model, messages=messages, temperature=0, stream=True
        )
        for chunk in stream:
            word = chunk.choices[0].delta.content or "" if chunk.choices else ""
            answer += word
            console.print(word, end="", markup=False, highlight=False)
    console.print()
    return answer.strip()


def ask_three(served: Served, file: Path, story: Story) -> None:
    """Three questions of the table, spread over it; raises StepFailed when one is answered wrongly."""
    with file.open(newline="", encoding="utf-8") as table:
        rows = list(csv.reader(table))[1:]
    with story.step("Three questions through the openai package"):
        for question, expected in rows[:: max(1, len(rows) // 3)][:3]:
            answer = ask(served, question, story.console)
            if answer != expected:
                raise ValueError(f"'{question}' was answered '{answer}', not '{expected}'.")


def where_next(served: Served, url: str, console: Console) -> None:
    """What to do with the model now, with a line to paste."""
    asked = {"model": served.model, "messages": [{"role": "user", "content": served.question}]}
    body = shlex.quote(json.dumps(asked, ensure_ascii=False))
    console.print("\n[bold]Your model[/]")
    for name, value in (
        ("base URL", served.base_url),
        ("model", served.model),
        ("key", f"{served.key}   (shown this once)"),
        ("GraphQL", f"{url}/graphql"),
    ):
        console.print(f"  {name:<9} {value}", soft_wrap=True, highlight=False, markup=False)
    console.print(
        f"\ncurl {served.base_url}/chat/completions -H 'Authorization: Bearer {served.key}' "
        f"-H 'Content-Type: application/json' -d {body}",
        soft_wrap=True,
        highlight=False,
        markup=False,
    )
