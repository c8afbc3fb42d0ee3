"""REST endpoints: files, webhooks, event streams and the OpenAI protocol."""
