"""Use cases: each runs on an open store; one file for each noun."""
