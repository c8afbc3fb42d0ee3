"""Bearer tokens of the Authorization header (RFC 6750)."""

from domain.ports.tokens import Tokens, Viewer


def bearer_token(authorization: str | None) -> str | None:
    """The token that an Authorization header carries; None where it carries none."""
    scheme, _, token = (authorization or "").partition(" ")
    return (token.strip() or None) if scheme.lower() == "bearer" else None


def viewer_of(tokens: Tokens, authorization: str | None) -> Viewer | None:
    """The user whom an Authorization header identifies; None where the token is missing, forged or expired."""
    token = bearer_token(authorization)
    return None if token is None else tokens.viewer(token)
