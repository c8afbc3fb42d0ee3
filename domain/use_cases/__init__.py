"""Use cases: each runs on an open store; one file for each noun. What changes several objects at once may enter."""
