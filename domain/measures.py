"""What is measured of an item's texts: tokens, equality, and the side of the split."""

import hashlib
import json
import re

PIECES = re.compile(r"\w+|[^\w\s]")


def estimate_tokens(text: str) -> int:
    """How many tokens a text has, about: one per word piece of six UTF-8 bytes and one per mark.

    The training run counts exactly, with its model's own tokenizer.
    """
    return sum((len(word.encode()) + 5) // 6 for word in PIECES.findall(text))


def normalised(text: str) -> str:
    """A text without case and spacing."""
    return " ".join(text.casefold().split())


def digest_of(data: dict[str, str]) -> bytes:
    """SHA-256 of the exact fields and values, whatever their order."""
    return hashlib.sha256(json.dumps(data, sort_keys=True, ensure_ascii=False).encode()).digest()


def fingerprint_of(*texts: str) -> bytes:
    """16 bytes that equal texts share, without case and spacing."""
    return hashlib.blake2b("\x1f".join(map(normalised, texts)).encode(), digest_size=16).digest()


def score_of(seed: int, input_text: str) -> float:
    """Where an input falls in [0, 1), evenly and always the same."""
    digest = hashlib.blake2b(f"{seed}\x1f{normalised(input_text)}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
