"""What is refused before anything runs: documents that are too large, too deep or too expensive, and calls that come too often."""
