"""Resolvers: each checks the viewer, opens one transaction and calls a use case."""
