"""How GraphQL travels: over HTTP, server-sent events and WebSocket. It is handed the schema."""

from schema.http._view import GraphQLView

__all__ = ["GraphQLView"]
