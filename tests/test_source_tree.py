"""Rules on the source tree that no linter checks."""

import ast
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.source_tree import PACKAGES, PYPROJECT, ROOT, sources

HEAVY = ("torch", "transformers", "trl", "peft", "datasets", "sentencepiece")
UNFINISHED = ("TO" + "DO", "FIX" + "ME", "X" * 3)


@pytest.mark.parametrize("name", PACKAGES)
def test_no_dependency_ships_a_package_of_our_name(name: str) -> None:
    assert set(packages_distributions().get(name, [])) <= {PYPROJECT["project"]["name"]}


def test_every_package_is_under_an_import_contract() -> None:
    assert set(PYPROJECT["tool"]["importlinter"]["root_packages"]) == set(PACKAGES) - {"migrations"}


def test_the_coverage_of_every_package_is_measured() -> None:
    assert set(PYPROJECT["tool"]["coverage"]["run"]["source_pkgs"]) == set(PACKAGES)


def test_every_top_level_package_is_shipped() -> None:
    found = {init.parent.name for init in ROOT.glob("*/__init__.py")}
    assert found - {"tests", "benchmarks"} == set(PACKAGES)


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_has_at_most_300_lines(path: Path) -> None:
    # the tables are one list, which Alembic compares whole; a revision is what was done once
    is_list = path.name == "tables.py" or path.parent.name == "versions"
    assert is_list or len(path.read_text().splitlines()) <= 300


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_imported_inside_a_function_except_by_the_training_process(path: Path) -> None:
    functions = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    inner = [
        node
        for function in functions
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert not inner or "infra/training" in str(path)


def test_nothing_is_marked_unfinished() -> None:
    assert not [path for path in sources() if any(word in path.read_text() for word in UNFINISHED)]


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_only_one_module_spells_the_keys_of_objects_in_the_bucket(path: Path) -> None:
    prefixes = ("documents/", "finetunes/", "datasets/")
    spelled = [
        node.value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith(prefixes)
    ]
    assert not spelled or path == ROOT / "domain" / "storage_keys.py"


def test_nothing_is_imported_from_a_module_of_tests() -> None:
    paths = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]
    imports = [(str(path), name) for path in paths for name in imported(path) if ".test_" in name]
    assert imports == []


def imported(path: Path) -> list[str]:
    """The full names of what a module imports."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names
