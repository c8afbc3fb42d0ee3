"""GraphQL mutations: their inputs and payloads, one file for each noun."""
