"""Notifications from PostgreSQL: one listening connection a process, and the event streams of jobs."""
