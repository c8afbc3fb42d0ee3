"""Notifications from PostgreSQL: one listening connection a process, and the streams that follow jobs."""
