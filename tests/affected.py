"""Runs the tests of what changed, the nearest first, until the time is over: `python -m tests.affected [BASE]`.

What changed is what differs from the commit at which the branch left BASE. A test file is affected that imports a
changed module, directly or through others, or `concerns` a changed file.
"""

import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

import grimp
import pytest

from tests.source_tree import PACKAGES, ROOT

BASES = ("@{upstream}", "origin/main", "main", "HEAD")
SECONDS = 50


def git(*command: str) -> list[str]:
    """What git prints, by line; nothing where it fails."""
    done = subprocess.run(["git", *command], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S607
    return done.stdout.splitlines()


def changed_since(*bases: str) -> set[str]:
    """The files that differ from where the branch left the first of these that there is; new ones are among them."""
    (fork, *_) = [commit for base in bases for commit in git("merge-base", "HEAD", base)] or sys.exit(
        "There is no such base."
    )
    return {*git("diff", "--name-only", fork), *git("ls-files", "--others", "--exclude-standard")}


def affected_by(changed: set[str]) -> list[str]:
    """The test files that the changed files affect, in the order of their distance."""
    graph = grimp.build_graph(*PACKAGES, "tests", cache_dir=None)
    tests = {name: Path(name.replace(".", "/") + ".py") for name in graph.modules if ".test_" in name}
    level = {path.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for path in changed}
    level &= graph.modules
    next_level = {
        name for name, path in tests.items() if any(concerns(path, Path(other)) for other in changed)
    }
    found = ["tests.test_source_tree"]
    while level or next_level:
        found += sorted(level - set(found))
        next_level |= {name for module in level for name in graph.find_modules_that_directly_import(module)}
        level, next_level = next_level - set(found), set()
    return [str(tests[name]) for name in found if name in tests]


def concerns(test: Path, changed: Path) -> bool:
    """Whether a test file has to do with a changed one that it need not import."""
    if changed.name == "conftest.py":
        return test.is_relative_to(changed.parent)
    if changed.suffix == ".py" and changed.parent.name != "programs":  # those of tests/interop are no modules
        return test.stem == f"test_{changed.stem}"
    return changed.name in (ROOT / test).read_text()


class Deadline:
    """Ends the session after the test during which the time is over. That alone is no failure."""

    def __init__(self, seconds: float) -> None:
        self.started: set[str] = set()
        self._end = time.monotonic() + seconds

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        self.started.add(item.location[0])
        result = yield
        if time.monotonic() > self._end:
            item.session.shouldstop = "the time is over"
        return result

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if session.shouldstop == "the time is over":
            session.exitstatus = min(session.testsfailed, 1)


if __name__ == "__main__":
    files = affected_by(changed_since(*(sys.argv[1:] or BASES)))
    deadline = Deadline(SECONDS)
    status = pytest.main([*files, "-m", "not slow"], plugins=[deadline]) if files else 0
    left = len(set(files) - deadline.started)
    sys.stdout.write(f"{len(files)} test files are affected; {left} of them are left to `make test`.\n")
    sys.exit(status)
