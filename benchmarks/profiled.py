"""Where the CPU of a server goes: `luthier` with a sampler in it, and the table of what the sampler saw.

`python -m benchmarks.profiled serve …` is the command line as it is, interrupted after every millisecond of CPU to
note which function is at work: nothing is slowed down by being counted, as it would be by a tracing profiler. What a
C extension does counts for the Python function that called it. SIGUSR1 begins to note, SIGUSR2 writes the notes to
`luthier-profile-<pid>.json` in the temporary folder.
"""

import asyncio
import os
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Awaitable
from pathlib import Path
from types import FrameType

import orjson

from app.cli import main

EVERY_S = 0.001
ROOT = Path(__file__).parents[1]
OURS = ("app", "domain", "infra", "resolvers", "rest", "schema")
CODECS = {"encode_json", "decode_json"}
TOP = 12


class Sampler:
    """Counts the functions that run when the profiling timer fires."""

    def __init__(self) -> None:
        self.seen: Counter[tuple[str, str]] = Counter()

    def begin(self, *_: object) -> None:
        """Start the timer, with all counts at zero."""
        self.seen.clear()
        signal.setitimer(signal.ITIMER_PROF, EVERY_S, EVERY_S)

    def note(self, _signal: int, frame: FrameType | None) -> None:
        """Count the function that runs now."""
        name = frame.f_code.co_qualname if frame else ""
        while frame and frame.f_code.co_filename.startswith(
            "<"
        ):  # a dataclass's constructor is its caller's work
            frame, name = frame.f_back, "constructors"
        if frame is not None:
            self.seen[frame.f_code.co_filename, name] += 1

    def write(self, *_: object) -> None:
        """Stop the timer, and write the counts to a file."""
        signal.setitimer(signal.ITIMER_PROF, 0)
        draft = _notes(os.getpid()).with_suffix(".draft")
        draft.write_bytes(orjson.dumps([[*place, count] for place, count in self.seen.items()]))
        draft.rename(_notes(os.getpid()))


def _notes(pid: int) -> Path:
    return Path(tempfile.gettempdir()) / f"luthier-profile-{pid}.json"


async def profile(pid: int, load: Awaitable[object]) -> str:
    """Two Markdown tables of what a sampled server does under a load: by package, and the busiest functions."""
    os.kill(pid, signal.SIGUSR1)
    await load
    os.kill(pid, signal.SIGUSR2)
    path = _notes(pid)
    async with asyncio.timeout(10):
        while not path.exists():  # noqa: ASYNC110 - another process makes it
            await asyncio.sleep(0.01)
    found = orjson.loads(path.read_bytes())
    path.unlink()
    return _tables(found)


def _tables(found: list[tuple[str, str, int]]) -> str:
    whole = sum(count for *_, count in found) or 1
    packages: Counter[str] = Counter()
    functions: Counter[str] = Counter()
    for file, name, count in found:
        package = package_of(file, name)
        packages[package] += count
        functions[f"`{name}` of {package}"] += count
    return "\n".join(
        [
            *("| package | share of CPU |", "|---|---:|"),
            *(
                f"| {name} | {count / whole:.0%} |"
                for name, count in packages.most_common()
                if count * 100 > whole
            ),
            *("", "| function | share of CPU |", "|---|---:|"),
            *(f"| {name} | {count / whole:.1%} |" for name, count in functions.most_common(TOP)),
        ]
    )


def package_of(file: str, name: str) -> str:
    """Who wrote a function: a library, the standard library or a layer of ours; JSON is told apart."""
    if name.rpartition(".")[2] in CODECS:
        return "JSON (orjson)"
    _, installed, inside = file.partition("site-packages/")
    if installed:
        return inside.partition("/")[0].removesuffix(".py")
    path = Path(file)
    if path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in OURS:
        return f"ours: {path.relative_to(ROOT).parts[0]}"
    inside = file.partition(f"python{sys.version_info.major}.{sys.version_info.minor}/")[2]
    return f"Python: {inside.partition('/')[0].removesuffix('.py')}"


if __name__ == "__main__":
    sampler = Sampler()
    signal.signal(signal.SIGPROF, sampler.note)
    signal.signal(signal.SIGUSR1, sampler.begin)
    signal.signal(signal.SIGUSR2, sampler.write)
    main()
