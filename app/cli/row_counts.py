"""What `luthier tune` prints of an import: how many rows are valid, what was left out, and what is wrong."""

from typing import Any

from rich.console import Console
from rich.markup import escape

from app.cli.api_client import Client
from app.cli.table_steps import KINDS

PROBLEMS = "query($id: ID!) { dataset(id: $id) { stats { problems { code count } } } }"
INVALID_ITEMS = """
query($id: ID!) {
  dataset(id: $id) { items(filter: {isValid: false, active: true}, first: 3) { nodes { values problems { message } } } }
}
"""


WARNINGS = {
    "CONTRADICTION": "have the input of another row, and another output",
    "NEAR_DUPLICATE": "differ from an earlier one in case or spacing alone",
    "CONTROL_TOKENS": "spell a control token of chat templates, which is learned as text",
    "NOT_TEXT": "have an object or a list where text is expected",
}
"""What rows with each kind of warning, which are trained on, have in common."""


NOUNS = {"PROMPT_COMPLETION": "rows", **KINDS}
MAX_IGNORED = 20
"""Most keys that were left out, which are printed by name."""


def print_row_counts(client: Client, dataset_id: str, result: dict[str, Any], console: Console) -> None:
    """Print how many rows are valid, what was left out, how many have a warning, and the first three invalid ones."""
    noun = NOUNS[result["item_format"]]
    console.print(f"  {result['valid']} of {result['rows']} {noun} are valid")
    if result["ignored"]:
        console.print(f"  [yellow]warning:[/] {escape(_ignored(result['ignored']))}", soft_wrap=True)
    problems = client.query(PROBLEMS, id=dataset_id)["dataset"]["stats"]["problems"]
    for problem in problems:
        if problem["code"] in WARNINGS:
            text = f"{noun} that {WARNINGS[problem['code']]}: {problem['count']}"
            console.print(f"  [yellow]warning:[/] {text}", soft_wrap=True)
    if result["unguarded"]:
        console.print(
            f"  values from which an apostrophe before a formula was removed: {result['unguarded']}"
        )
    if result["valid"] == result["rows"]:
        return
    for item in client.query(INVALID_ITEMS, id=dataset_id)["dataset"]["items"]["nodes"]:
        problems = " ".join(problem["message"] for problem in item["problems"])
        row = ", ".join(filter(None, item["values"])).replace("\n", " ")[:60]
        text = f"{problems} ({row})" if row else problems
        console.print(f"  [yellow]invalid:[/] {escape(text)}", highlight=False, soft_wrap=True)


def _ignored(keys: list[dict[str, Any]]) -> str:
    """What was left out, in words: the names of keys, each with the number of its lines."""
    names = ", ".join(f"{key['name']} ({key['lines']})" for key in keys[:MAX_IGNORED])
    more = f" and {len(keys) - MAX_IGNORED} more" if len(keys) > MAX_IGNORED else ""
    return f"keys that were left out, with the number of lines: {names}{more}"
