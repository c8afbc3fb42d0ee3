"""Hashes of files and of an item's texts: its exact values, what it equals, and its place in the split."""

import hashlib
import json
from pathlib import Path
from typing import Any

from domain.texts import canonical, normalized

JSON = json.JSONEncoder(sort_keys=True, ensure_ascii=False)


def digest_of_values(values: dict[str, Any]) -> bytes:
    """SHA-256 of field names and exact values, which are texts or JSON, whatever the order of keys."""
    return hashlib.sha256(JSON.encode(values).encode()).digest()


def exact_fingerprint_of(text: str) -> bytes:
    """16 bytes that are the same for texts with the same characters, apart from trailing white space.

    A hash that PostgreSQL has too: revision 0005 computed it for the items of its day.
    """
    return hashlib.sha256(canonical(text).encode()).digest()[:16]


def fingerprint_of(*texts: str) -> bytes:
    """16 bytes that are the same for texts that differ in case and white space alone."""
    return hashlib.blake2b("\x1f".join(map(normalized, texts)).encode(), digest_size=16).digest()


def split_score_of(seed: int, input_text: str) -> float:
    """A uniform number in [0, 1) that depends on the seed and the normalized text alone."""
    digest = hashlib.blake2b(f"{seed}\x1f{normalized(input_text)}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def sha256_of_file(path: Path) -> str:
    """The SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
