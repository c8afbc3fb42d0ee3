"""The lock: `constraints.txt` names one version, within pyproject's range, of all that is installed or builds."""

import re
import tomllib
from importlib.metadata import distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LINES = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
PINS = [(name, version) for name, _, version in (line.partition("==") for line in LINES)]
LOCKED = {canonicalize_name(name): version for name, version in PINS}


def requirements() -> list[Requirement]:
    project = PYPROJECT["project"]
    groups = (
        project["dependencies"],
        *project["optional-dependencies"].values(),
        PYPROJECT["build-system"]["requires"],
    )
    return [Requirement(line) for group in groups for line in group]


def test_the_lock_has_names_and_versions_and_nothing_else() -> None:
    assert [line for line in LINES if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line)] == []
    names = [name.lower() for name, _ in PINS]
    assert sorted(names) == names
    assert len(LOCKED) == len(LINES)


def test_every_dependency_is_locked_within_its_range_but_torch() -> None:
    found = {needed.name: LOCKED.get(canonicalize_name(needed.name)) for needed in requirements()}
    assert [name for name, version in found.items() if version is None] == ["torch"]
    outside = [
        needed
        for needed in requirements()
        if (version := found[needed.name]) and version not in needed.specifier
    ]
    assert outside == [], "`make lock` renews constraints.txt"


def test_what_is_installed_has_the_locked_version() -> None:
    installed = {canonicalize_name(package.name): package.version for package in distributions()}
    common = installed.keys() & LOCKED.keys()
    assert {name: installed[name] for name in common} == {name: LOCKED[name] for name in common}, (
        "run `make setup`"
    )
