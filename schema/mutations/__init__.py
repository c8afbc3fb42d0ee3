"""GraphQL mutations: inputs, payloads and root mutations, one file for each noun. They import types; no type imports them."""
