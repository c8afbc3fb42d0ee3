import pytest

from domain.rate_limits import (
    DOCUMENTED,
    CallKind,
    Rate,
    RateLimitedCall,
    attempt,
    caller,
    limits_of,
    network,
    refused,
)


def test_what_is_documented_holds_unless_it_is_off() -> None:
    assert limits_of("documented") == DOCUMENTED
    assert limits_of("off") is None
    assert {it: DOCUMENTED[it].amount for it in list(CallKind)[:5]} == {
        CallKind.READS: 60,
        CallKind.WRITES: 30,
        CallKind.UPLOADS: 10,
        CallKind.GENERATE: 5,
        CallKind.TRAIN: 3,
    }


def test_kinds_are_set_by_number_a_minute_or_by_period_and_the_others_stay() -> None:
    given = limits_of('{"reads": "600/minute", "train": "10 / hour", "sign_in": 7}')
    changed = {CallKind.READS: Rate(600, 60), CallKind.TRAIN: Rate(10, 3600), CallKind.SIGN_IN: Rate(7, 60)}
    assert given == {**DOCUMENTED, **changed}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("on", "it is off, documented or JSON"),
        ("[]", "it is off, documented or JSON"),
        ("[" * 100_000, "it is off, documented or JSON"),
        ('{"Reads": 1}', "its kinds are reads, writes"),
        ('{"reads": 0}', "reads is a number a minute"),
        ('{"reads": -1}', "reads is a number a minute"),
        ('{"reads": true}', "reads is a number a minute"),
        ('{"reads": null}', "reads is a number a minute"),
        ('{"reads": 1.5}', "reads is a number a minute"),
        ('{"reads": "10/week"}', "reads is a number a minute"),
        ('{"reads": "100001/hour"}', "reads is a number a minute"),
        ('{"reads": "' + "9" * 5000 + '/hour"}', "reads is a number a minute"),
    ],
)
def test_limits_that_make_no_sense_are_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=f"^{says}") as caught:
        limits_of(text)
    assert len(str(caught.value)) < 120


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
    assert network(host) == counted
    assert caller(None, host) == counted
    assert caller("user_1", host) == "user_1"


def test_attempts_on_one_account_are_counted_alike_however_its_address_is_written() -> None:
    assert attempt(CallKind.SIGN_IN, " A@Example.org", "192.0.2.7") == attempt(
        CallKind.SIGN_IN, "a@example.org ", "::ffff:192.0.2.7"
    )
    assert "example" not in str(attempt(CallKind.SIGN_IN, "a@example.org\ud800", "192.0.2.7"))


@pytest.mark.parametrize(
    ("asked", "wait_s", "message"),
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
    asked: RateLimitedCall, wait_s: int, message: str
) -> None:
    error = refused(asked, Rate(60, 60), wait_s)
    assert (error.message, error.retry_after) == (message, wait_s)
    assert error.context == {"kind": asked.kind.value, "retryAfter": wait_s}
