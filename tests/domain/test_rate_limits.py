import pytest

from domain.rate_limits import (
    CallKind,
    Rate,
    RateLimitedCall,
    address_key,
    authentication_calls,
    client_key,
    rate_limit_error,
)


@pytest.mark.parametrize(
    ("host", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        (None, "nowhere"),
        ("x" * 1000, "nowhere"),
    ],
)
def test_an_address_is_counted_as_its_network(host: str | None, counted: str) -> None:
    assert address_key(host) == counted
    assert client_key(None, host) == counted
    assert client_key("user_1", host) == "user_1"


def test_attempts_on_one_account_are_counted_alike_however_its_address_is_written() -> None:
    assert authentication_calls(CallKind.SIGN_IN, " A@Example.org", "192.0.2.7") == authentication_calls(
        CallKind.SIGN_IN, "a@example.org ", "::ffff:192.0.2.7"
    )
    assert "example" not in str(authentication_calls(CallKind.SIGN_IN, "a@example.org\ud800", "192.0.2.7"))


@pytest.mark.parametrize(
    ("call", "wait_s", "message"),
    [
        (
            RateLimitedCall(CallKind.READS, "user_1"),
            12,
            "At most 60 reads are allowed per minute; try again in 12 seconds.",
        ),
        (
            RateLimitedCall(CallKind.TRAIN, "user_1"),
            1,
            "At most 60 calls that train are allowed per minute; try again in 1 second.",
        ),
        (
            RateLimitedCall(CallKind.READS, "user_1", calls=61),
            60,
            "At most 60 reads are allowed per minute; this makes 61 at once: make fewer.",
        ),
    ],
)
def test_a_refusal_says_the_limit_and_when_to_come_back(
    call: RateLimitedCall, wait_s: int, message: str
) -> None:
    error = rate_limit_error(call, Rate(60, 60), wait_s)
    assert (error.message, error.retry_after) == (message, wait_s)
    assert error.context == {"kind": call.kind.value, "retryAfter": wait_s}
