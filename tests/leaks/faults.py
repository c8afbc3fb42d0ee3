"""Faults with a secret in them, and how tests look for it in responses and in the log."""

import json
import logging
from typing import Any

import psycopg
import pytest
from sqlalchemy.exc import ProgrammingError

from app.logs import JsonLines

SECRET = "postgresql://luthier:hunter2@10.0.0.7/luthier"
INTERNAL_WORDS = ("hunter2", "10.0.0.7", "Traceback", "RuntimeError", "psycopg", "select ", "/site-packages/")
SQL = f"select password_hash from users where email = '{SECRET}'"  # noqa: S608
FAULTS: list[Exception] = [
    RuntimeError(SECRET),
    KeyError(SECRET),
    ExceptionGroup(SECRET, [ValueError(SECRET)]),
    ProgrammingError(SQL, {"password": SECRET}, psycopg.errors.UndefinedColumn(SECRET)),
]
MASKED = "Something went wrong inside Luthier."


def leaks(response: str) -> list[str]:
    """The internal words that are in a response."""
    return [word for word in INTERNAL_WORDS if word in response]


def faults_logged(caplog: pytest.LogCaptureFixture, request_id: str) -> list[dict[str, Any]]:
    """The errors that were logged for a request, each from its line of JSON."""
    lines = [JsonLines("api").format(record) for record in caplog.records if record.levelno >= logging.ERROR]
    assert not any("\n" in line for line in lines)
    return [entry for entry in map(json.loads, lines) if entry.get("request_id") == request_id]
