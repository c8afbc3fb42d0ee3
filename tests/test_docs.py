"""The pages name files, folders and functions that exist."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.source_tree import PACKAGES, ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
CODE = re.compile(r"`([^`\n]+)`")
PATH = re.compile(r"((?:[\w.-]+/)+(?:[\w.-]+\.\w+)?|[\w-]+\.(?:py|toml|graphql|txt))(?:: ?([\w.]+))?")
"""A file or folder of the repository, and maybe what is in it: `schema/engine.py: Schema`."""
DOTTED = re.compile(rf"(?:{'|'.join([*PACKAGES, 'tests', 'benchmarks'])})(?:\.\w+)+")
"""A module, or what is in one: `domain.use_cases.finetunes.create`."""
ELSEWHERE = ("data/", "finetunes/", "documents/", "datasets/", "jobs/")
"""Folders of an installation and of its bucket."""
QUESTIONS = 10


def named(page: Path, pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
    """What stands in backticks on a page and matches as a whole."""
    for code in CODE.findall(page.read_text()):
        if found := pattern.fullmatch(code):
            yield found


def defined(path: Path) -> set[str]:
    """The names that a module defines, those in its classes as `Class.name`."""
    names: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        names |= set(bound(node))
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{name}" for member in node.body for name in bound(member)}
    return names


def bound(node: ast.stmt) -> Iterator[str]:
    """The names that a statement binds."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Assign):
        yield from (target.id for target in node.targets if isinstance(target, ast.Name))
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        yield node.target.id
    elif isinstance(node, ast.ImportFrom):
        yield from (alias.asname or alias.name for alias in node.names)


def is_dotted_name(name: str) -> bool:
    """Whether a dotted name is a module, or something that one defines."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        module = ROOT.joinpath(*parts[:length])
        path = module.with_suffix(".py") if module.with_suffix(".py").is_file() else module / "__init__.py"
        if path.is_file():
            return length == len(parts) or ".".join(parts[length:]) in defined(path)
    return False


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_path_on_a_page_exists_and_has_what_is_named_in_it(page: Path) -> None:
    for found in named(page, PATH):
        path, name = found.groups()
        if path.startswith(ELSEWHERE):
            continue
        assert (ROOT / path).exists(), f"{page.name}: {path}"
        assert name is None or name in defined(ROOT / path), f"{page.name}: {path}: {name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_dotted_name_on_a_page_exists(page: Path) -> None:
    names = [found[0] for found in named(page, DOTTED) if not found[0].endswith(".graphql")]
    unknown = [name for name in names if not is_dotted_name(name)]
    assert unknown == []


def test_the_answers_to_where_is_questions_are_paths_that_exist() -> None:
    section = (ROOT / "CONTRIBUTING.md").read_text().partition("## Where is …?")[2].partition("\n## ")[0]
    answers = re.findall(r"^\| .+? \| (.+?) \|$", section, re.MULTILINE)[1:]
    assert len(answers) >= QUESTIONS
    for answer in answers:
        paths = [path for code in CODE.findall(answer) if (path := PATH.fullmatch(code))]
        assert paths, answer
        assert all(list(ROOT.glob(path[1])) for path in paths), answer
