"""GraphQL over HTTP, server-sent events and WebSocket, for any schema that it is handed. No type and no rule may enter."""

from schema.http._view import GraphQLView

__all__ = ["GraphQLView"]
