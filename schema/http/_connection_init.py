"""The token in the payload of `connection_init`, and why it is refused."""

from collections.abc import Iterator, Mapping
from typing import Any

from edge.bearer_tokens import bearer_token

NAME = "authorization"


def authorization_of(payload: Mapping[str, Any]) -> str | None:
    """The `authorization` of a payload, or else that of its `headers`; None where there is none that is not empty.

    Case does not matter: front-end libraries write `Authorization` as often.
    """
    levels = [payload, *(value for value in _values(payload, "headers") if isinstance(value, dict))]
    found = (value for level in levels for value in _values(level, NAME) if isinstance(value, str))
    return next((value for value in found if value.strip()), None)


def _values(level: Mapping[str, Any], name: str) -> Iterator[Any]:
    """The values under a name, first the one that is spelled in lower case."""
    if name in level:
        yield level[name]
    yield from (value for key, value in level.items() if key != name and key.lower() == name)


def refusal_reason(authorization: str | None) -> str:
    """Why a connection is closed, in one sentence: the `reason` of the close event."""
    if authorization is None:
        return 'Sign in: send connection_init with the payload {"authorization": "Bearer TOKEN"}.'
    if bearer_token(authorization) is None:
        return 'The `authorization` of connection_init is not "Bearer TOKEN": write Bearer before the token.'
    return "The token of connection_init is not valid or has expired: sign in again."
