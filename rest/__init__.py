"""The escape hatches: bytes, webhooks, event streams and the OpenAI protocol."""
