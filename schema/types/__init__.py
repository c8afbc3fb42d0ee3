"""GraphQL types and root queries. What a client reads may enter; no input, no write.

Its surface: one module for each noun.
"""
