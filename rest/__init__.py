"""What is not GraphQL: files, webhooks, event streams and the OpenAI protocol."""
