"""Resolvers of tickets."""

from datetime import datetime

from domain.errors import Invalid
from resolvers.context import Context


def ticket(context: Context, path: str) -> tuple[str, datetime]:
    """A ticket for one REST path, and its expiry; raises `Invalid` for another path."""
    path = path.partition("?")[0]
    if not path.startswith("/api/"):
        raise Invalid("A ticket is for a path below /api/.", reason="INVALID_PATH", field="path")
    return context.services.tokens.ticket(context.viewer_id, path, context.expires_at)
