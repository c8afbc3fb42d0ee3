"""GraphQL mutations: inputs, payloads and root mutations. They import types; no type imports them.

Its surface: one module for each noun.
"""
