"""The revisions of the database, and Alembic's environment."""
