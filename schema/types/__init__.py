"""GraphQL types, the filters of their lists, and root queries. No mutation's input and no write may enter.

Its surface: one module for each noun.
"""
