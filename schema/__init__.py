"""The GraphQL API: types and mutations, one file for each noun, and the admission, execution and transport of operations."""
