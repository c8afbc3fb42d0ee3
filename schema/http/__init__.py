"""How GraphQL travels: over HTTP, server-sent events and WebSocket. It is handed the schema."""
