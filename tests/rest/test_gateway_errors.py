"""The table of the gateway's errors in docs/api.md has every status and code that the gateway sends."""

import ast
import re
from collections.abc import Iterator

from rest.gateway._errors import DOMAIN_ERRORS
from tests.source_tree import ROOT

PAGE = (ROOT / "docs" / "api.md").read_text()
ROW = re.compile(r"^\| ((?:4|5)\d\d(?:, (?:4|5)\d\d)*) \| (`\w+`(?:, `\w+`)*) \|", re.MULTILINE)


def documented() -> set[tuple[int, str]]:
    """Each status with each code of its row; where a row has as many of both, they belong together in order."""
    found = set()
    section = PAGE.partition("## The OpenAI endpoint")[2].partition("\n## ")[0]
    for statuses, codes in ROW.findall(section):
        numbers, names = [int(text) for text in statuses.split(", ")], re.findall(r"`(\w+)`", codes)
        pairs = (
            zip(numbers, names, strict=True) if len(numbers) > 1 else [(numbers[0], name) for name in names]
        )
        found |= {(status, name) for status, name in pairs if name != "null"}
    return found


def sent() -> Iterator[tuple[int, str]]:
    """Status and code of each error that the gateway makes of constants, and of the domain's errors."""
    for path in (ROOT / "rest" / "gateway").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id == "OpenAIError"
            ):
                code = next((keyword.value for keyword in node.keywords if keyword.arg == "code"), None)
                match node.args[0], code:
                    case ast.Constant(value=int(status)), ast.Constant(value=str(name)):
                        yield status, name
    not_sent = {403, 409}  # nothing that the gateway calls raises these
    yield from ((status, code) for status, code in DOMAIN_ERRORS.values() if status not in not_sent)


def test_the_page_has_every_status_and_code_of_the_gateway() -> None:
    assert documented() == set(sent())
