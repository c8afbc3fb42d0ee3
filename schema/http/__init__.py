"""GraphQL over HTTP, server-sent events and WebSocket, for any schema."""

from schema.http._view import GraphQLView

__all__ = ["GraphQLView"]
