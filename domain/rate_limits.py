"""How often each kind of call may be made: the documented numbers, and who is counted."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from ipaddress import IPv6Address, ip_address, ip_network

from domain.errors import RateLimited

SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
MAX_AMOUNT = 100_000
"""The most calls that a window may allow: it keeps the time of each."""
TEXT = re.compile(r"(\d{1,6})\s*/\s*(second|minute|hour|day)")
IPV6_NETWORK = 64
"""How many bits of an IPv6 address name who holds it: whoever has one address there has all the rest."""


class CallKind(StrEnum):
    """What calls are counted as."""

    READS = "reads"
    WRITES = "writes"
    UPLOADS = "uploads"
    GENERATE = "generate"
    TRAIN = "train"
    SIGN_IN = "sign_in"
    SIGN_UP = "sign_up"


WORDS: Mapping[CallKind, str] = {
    CallKind.READS: "reads",
    CallKind.WRITES: "writes",
    CallKind.UPLOADS: "uploads",
    CallKind.GENERATE: "calls that generate",
    CallKind.TRAIN: "calls that train",
    CallKind.SIGN_IN: "attempts to sign in",
    CallKind.SIGN_UP: "attempts to sign up",
}


@dataclass(frozen=True, slots=True)
class Rate:
    """So many calls within any so many seconds."""

    amount: int
    seconds: int


RateLimits = Mapping[CallKind, Rate]


DOCUMENTED: RateLimits = {
    CallKind.READS: Rate(60, 60),
    CallKind.WRITES: Rate(30, 60),
    CallKind.UPLOADS: Rate(10, 60),
    CallKind.GENERATE: Rate(5, 60),
    CallKind.TRAIN: Rate(3, 60),
    CallKind.SIGN_IN: Rate(10, 60),
    CallKind.SIGN_UP: Rate(10, 3600),
}


@dataclass(frozen=True, slots=True)
class RateLimitedCall:
    """Calls of one kind that `who` wants to make; `times` widens the kind's limit."""

    kind: CallKind
    who: str
    calls: int = 1
    times: int = 1


def limits_of(text: str) -> RateLimits | None:
    """The limits that a setting names, None for `off`; raises ValueError with a sentence's end."""
    if text in {"off", "documented"}:
        return None if text == "off" else DOCUMENTED
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        example = '{"reads": "600/minute", "train": 10}'
        raise ValueError(f"it is off, documented or JSON such as {example}")  # noqa: TRY004 - of a text's value
    return {**DOCUMENTED, **{_kind(name): _rate(name, it) for name, it in given.items()}}


def _kind(name: str) -> CallKind:
    if name not in list(CallKind):
        raise ValueError(f"its kinds are {', '.join(CallKind)}")
    return CallKind(name)


def _rate(name: str, given: object) -> Rate:
    """A number a minute, or text such as `10/hour`."""
    found = TEXT.fullmatch(f"{given}/minute" if type(given) is int else str(given).strip())
    if found is None or not 1 <= int(found[1]) <= MAX_AMOUNT:
        raise ValueError(f"{name} is a number a minute from 1 to {MAX_AMOUNT}, or such as 10/hour")
    return Rate(int(found[1]), SECONDS[found[2]])


def caller(viewer_id: str | None, host: str | None) -> str:
    """Who is counted: the user, and who is signed out by address."""
    return viewer_id or network(host)


def network(host: str | None) -> str:
    """What an address is counted as: itself, of IPv6 its network."""
    try:
        address = ip_address(host or "")
    except ValueError:
        return "nowhere"  # a Unix socket
    if not isinstance(address, IPv6Address):
        return str(address)
    return str(address.ipv4_mapped or ip_network((int(address), IPV6_NETWORK), strict=False))


def attempt(
    kind: CallKind, email: str, host: str | None
) -> tuple[RateLimitedCall, RateLimitedCall, RateLimitedCall]:
    """What an attempt to sign in or up is counted as: this account from here, any from here, this from anywhere.

    What stops a guesser is the first, which a success forgets, so that only failures add up. It is kept for each
    address apart: else anybody could lock an account by guessing at it. The third bounds guessing from
    many addresses; it is ten times as wide, so it takes that many to lock someone out, and never for longer than
    a window after they stop. What the first refuses is not counted there. No e-mail stands in a key.
    """
    account = blake2b(email.strip().lower().encode(errors="replace"), digest_size=16).hexdigest()
    here = network(host)
    return (
        RateLimitedCall(kind, f"{account}@{here}"),
        RateLimitedCall(kind, here, times=3),
        RateLimitedCall(kind, account, times=10),
    )


def refused(asked: RateLimitedCall, rate: Rate, wait_s: int) -> RateLimited:
    """What the caller is told: the limit, and when to come back."""
    period = next(name for name, seconds in SECONDS.items() if seconds == rate.seconds)
    limit = f"At most {rate.amount:,} {WORDS[asked.kind]} are allowed per {period}"
    advice = f"try again in {wait_s} second{'' if wait_s == 1 else 's'}"
    if asked.calls > rate.amount:
        advice = f"this makes {asked.calls} at once: make fewer"
    return RateLimited(f"{limit}; {advice}.", kind=asked.kind, retry_after=wait_s)
