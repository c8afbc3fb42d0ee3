"""How often each kind of call may be made: the documented limits, and by which keys calls are counted."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from ipaddress import IPv6Address, ip_address, ip_network

from domain.errors import RateLimited

SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
MAX_AMOUNT = 100_000
"""The most calls that a window may allow, as it stores the time of each."""
IPV6_PREFIX_LENGTH = 64
"""Who has one address of such an IPv6 network has all of them."""


class CallKind(StrEnum):
    """What calls are counted as."""

    READS = "reads"
    WRITES = "writes"
    UPLOADS = "uploads"
    GENERATE = "generate"
    TRAIN = "train"
    SIGN_IN = "sign_in"
    SIGN_UP = "sign_up"


DESCRIPTIONS: Mapping[CallKind, str] = {
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
    """At most `amount` calls within any `seconds` seconds."""

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
    """Calls of one kind, counted under a key. The limit is `limit_factor` times the kind's."""

    kind: CallKind
    key: str
    calls: int = 1
    limit_factor: int = 1


def client_key(viewer_id: str | None, host: str | None) -> str:
    """The key that a client's calls are counted under: the user's id, else the address."""
    return viewer_id or address_key(host)


def address_key(host: str | None) -> str:
    """The key of an address: an IPv4 address itself, the network of an IPv6 address."""
    try:
        address = ip_address(host or "")
    except ValueError:
        return "nowhere"  # a Unix socket
    if not isinstance(address, IPv6Address):
        return str(address)
    return str(address.ipv4_mapped or ip_network((int(address), IPV6_PREFIX_LENGTH), strict=False))


def authentication_calls(
    kind: CallKind, email: str, host: str | None
) -> tuple[RateLimitedCall, RateLimitedCall, RateLimitedCall]:
    """The counts of an attempt to sign in or up: the account from this address, the address, the account.

    The first stops the guessing of passwords. It is reset by a success, so that only failures add up, and it is of one
    address: else anybody could lock an account by guessing at it. The third bounds guessing from many addresses; its
    limit is ten times as high, so that many addresses are needed to lock an account, until a window after they stop.
    What the first refuses is not counted in the others. No key contains an e-mail address.
    """
    account = blake2b(email.strip().lower().encode(errors="replace"), digest_size=16).hexdigest()
    address = address_key(host)
    return (
        RateLimitedCall(kind, f"{account}@{address}"),
        RateLimitedCall(kind, address, limit_factor=3),
        RateLimitedCall(kind, account, limit_factor=10),
    )


def rate_limit_error(call: RateLimitedCall, rate: Rate, wait_s: int) -> RateLimited:
    """The error of a refused call: its limit, and in how many seconds to try again."""
    period = next(name for name, seconds in SECONDS.items() if seconds == rate.seconds)
    limit = f"At most {rate.amount:,} {DESCRIPTIONS[call.kind]} are allowed per {period}"
    advice = f"try again in {wait_s} second{'' if wait_s == 1 else 's'}"
    if call.calls > rate.amount:
        advice = f"this makes {call.calls} at once: make fewer"
    return RateLimited(f"{limit}; {advice}.", kind=call.kind, retry_after=wait_s)
