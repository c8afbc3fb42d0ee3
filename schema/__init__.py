"""The GraphQL API: the types and mutations, one file for each noun, and what runs operations."""
