"""GraphQL types and root queries: one file for each noun."""
