"""The handlers of jobs: one for each type."""
