"""Code shared by all nouns: nodes, connections, payloads, errors, scalars and projection. It names no noun."""
