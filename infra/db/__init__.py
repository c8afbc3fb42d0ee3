"""PostgreSQL: the tables, and one store for each noun."""
