"""New API keys and their secrets."""

from datetime import UTC, datetime, timedelta

import pytest

from domain.api_keys import digest_of_secret, new_key
from domain.errors import Invalid

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_key_has_the_digest_and_the_first_letters_of_its_secret_and_no_more() -> None:
    key, secret = new_key("user_1", " mine ", now=NOW)
    assert (key.digest, key.prefix, key.name) == (digest_of_secret(secret), secret[:10], "mine")
    assert secret not in repr(key)
    assert len(secret) > 40


def test_no_two_secrets_are_the_same() -> None:
    assert len({new_key("user_1", "a", now=NOW)[1] for _ in range(100)}) == 100


def test_a_key_that_would_have_expired_already_is_refused() -> None:
    with pytest.raises(Invalid, match="expiresAt"):
        new_key("user_1", "a", now=NOW, expires_at=NOW)
    key, _ = new_key("user_1", "a", now=NOW, expires_at=NOW + timedelta(seconds=1))
    assert key.expires_at == NOW + timedelta(seconds=1)


def test_an_expiry_without_a_time_offset_is_refused() -> None:
    with pytest.raises(Invalid, match="time offset"):
        new_key("user_1", "a", now=NOW, expires_at=(NOW + timedelta(days=1)).replace(tzinfo=None))
