"""What the GraphQL API is measured against."""
