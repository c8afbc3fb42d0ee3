"""What it looks like: the GraphQL types, one file for each noun."""
