"""How the database came to be what it is, and what Alembic needs to bring it there."""
