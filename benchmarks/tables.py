"""How fast tables are read, against `csv` and `json` of the standard library on the same files.

Ours detects the dialect, reads each row of the two columns and looks for its problems; the peers make lists of cells or
objects of a file whose form they are told. Rounds alternate; a ratio is the median of those within one round.
"""

import csv
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from domain.files.encoding_detection import detect_encoding
from domain.files.tables import open_table
from domain.imports import ImportFormat
from infra.encoding import guess_encodings

ROWS, ROUNDS = 100_000, 7
HEADERS = ("question", "answer")


def plain(number: int) -> str:
    return f"What is the number {number} about?,It is about the number {number} \u2013 in short.\n"


def quoted(number: int) -> str:
    return f'"What is the number {number} about, then?","It is ""about"" the number {number}."\n'


def of_lines(number: int) -> str:
    return f'What is the number {number} about?,"It is about\nthe number {number},\nin short."\n'


def objects(number: int) -> str:
    return (
        json.dumps({"question": f"What is {number}?", "answer": f"The number {number}", "rank": number})
        + "\n"
    )


KINDS: dict[str, tuple[ImportFormat, Callable[[int], str]]] = {
    "CSV": (ImportFormat.CSV, plain),
    "CSV, every value quoted": (ImportFormat.CSV, quoted),
    "CSV, values of three lines": (ImportFormat.CSV, of_lines),
    "JSON Lines": (ImportFormat.JSONL, objects),
}


def read_ours(path: Path, format: ImportFormat) -> int:
    table = open_table(path, detect_encoding(path, guess_encodings).name, format)
    return sum(not row.problems for row in table.rows(HEADERS))


def read_peer(path: Path, format: ImportFormat) -> int:
    with path.open(encoding="utf-8", newline="") as file:
        rows: Iterator[object] = map(json.loads, file) if format is ImportFormat.JSONL else csv.reader(file)
        count = sum(1 for _ in rows)
    return count if format is ImportFormat.JSONL else count - 1


def timed(read: Callable[[Path, ImportFormat], int], path: Path, format: ImportFormat) -> float:
    started = time.perf_counter()
    count = read(path, format)
    seconds = time.perf_counter() - started
    if count != ROWS:
        raise RuntimeError(f"{count} rows were read, not {ROWS}")
    return seconds


def measure() -> str:
    """The table of all kinds."""
    lines = ["| 100,000 rows of | ours, s | standard library, s | ratio |", "|---|---:|---:|---:|"]
    with tempfile.TemporaryDirectory() as folder:
        for name, (format, line) in KINDS.items():
            path = Path(folder) / "table"
            head = "question,answer\n" if format is ImportFormat.CSV else ""
            path.write_text(head + "".join(map(line, range(ROWS))))
            rounds = [(timed(read_ours, path, format), timed(read_peer, path, format)) for _ in range(ROUNDS)]
            ours, peer = (statistics.median(seconds) for seconds in zip(*rounds, strict=True))
            ratio = statistics.median(ours / peer for ours, peer in rounds)
            lines.append(f"| {name} | {ours:.2f} | {peer:.2f} | {ratio:.1f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(measure())
