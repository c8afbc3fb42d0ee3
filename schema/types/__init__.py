"""GraphQL types and root queries: one file for each noun, each its surface. What a client reads may enter; no input, no write."""
