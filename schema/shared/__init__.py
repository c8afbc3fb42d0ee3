"""Code shared by all nouns. It names no noun.

Its surface: `connections`, `context`, `enums`, `errors`, `inputs`, `nodes`, `payloads` and `scalars`.
"""
