"""What the gateway needs of PostgreSQL: its table of keys, and its log."""
