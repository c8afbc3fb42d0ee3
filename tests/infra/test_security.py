"""Bearer tokens and tickets."""

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Self

import pytest

from domain.ports.tokens import Viewer
from infra.security import TOKEN_TTL, JwtTokens

SECRET = "a secret of the tests, and of no server"


class FutureClock(datetime):
    """A clock that is past the expiry of any token."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return super().now(tz) + TOKEN_TTL + timedelta(seconds=1)


def test_a_token_tells_whose_it_is_and_until_when() -> None:
    tokens = JwtTokens(SECRET)
    token, ends = tokens.issue("user_1")
    assert tokens.viewer(token) == Viewer("user_1", ends)
    assert ends - datetime.now(UTC) > TOKEN_TTL - timedelta(seconds=2)


def test_a_token_that_is_remembered_ends_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = JwtTokens(SECRET)
    token, _ = tokens.issue("user_1")
    assert tokens.viewer(token) is not None
    monkeypatch.setattr("infra.security.datetime", FutureClock)
    assert tokens.viewer(token) is None


def test_what_another_signed_or_meant_for_something_else_is_no_token() -> None:
    tokens = JwtTokens(SECRET)
    forged, _ = JwtTokens("another secret, of somebody else's").issue("user_1")
    ticket, _ = tokens.ticket("user_1", "/path")
    for wrong in (forged, ticket, "", "garbage", "x" * 100_000):
        assert tokens.viewer(wrong) is None
    assert tokens.ticket_viewer(ticket, "/elsewhere") is None
    assert tokens.ticket_viewer(tokens.issue("user_1")[0], "/path") is None


def test_a_ticket_tells_whose_it_is_and_when_the_token_ends_that_it_was_made_with() -> None:
    tokens = JwtTokens(SECRET)
    _, until = tokens.issue("user_1")
    ticket, ends = tokens.ticket("user_1", "/path", until)
    assert ends < until
    assert tokens.ticket_viewer(ticket, "/path") == Viewer("user_1", until)
    ticket, ends = tokens.ticket("user_1", "/path")
    assert tokens.ticket_viewer(ticket, "/path") == Viewer("user_1", ends)
