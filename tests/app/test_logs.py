"""The log as JSON Lines."""

import json
import logging
from typing import Any

import pytest

from app.logs import JsonLines


class Unprintable:
    """An object whose `str` raises."""

    def __str__(self) -> str:
        raise ValueError


def record(message: Any, *arguments: Any, **extra: Any) -> logging.LogRecord:
    """A log record with extra attributes."""
    log_record = logging.LogRecord("a.name", logging.ERROR, __file__, 1, message, arguments, None)
    vars(log_record).update(extra)
    return log_record


@pytest.mark.parametrize(
    ("logged", "shown"),
    [
        (record("two\nlines\r\n%s", "\u2028"), {"message": "two\nlines\r\n\u2028"}),
        (record("half a \ud800"), {"message": "half a \ud800"}),
        (record("too few: %s %s", "one"), {"message": "too few: %s %s"}),
        (record("a path", path=["projects", 1, Unprintable()]), {"path": ["projects", 1, "<Unprintable>"]}),
        (record("an id", request_id="r-1", job_id=b"job"), {"request_id": "r-1", "job_id": "b'job'"}),
        (record("no extra", password="x"), {"message": "no extra"}),
    ],
)
def test_a_line_of_the_log_is_one_json_object_whatever_is_in_it(
    logged: logging.LogRecord, shown: dict[str, Any]
) -> None:
    line = JsonLines("api").format(logged)
    assert len(line.splitlines()) == 1
    about = {"level": "ERROR", "process": "api", "logger": "a.name"}
    logged_line = json.loads(line)
    assert {name: logged_line[name] for name in about | shown} == about | shown
    assert "password" not in logged_line


def test_an_error_is_one_line_of_the_log_too() -> None:
    error, failed = RuntimeError("two\nlines"), record("failed")
    error.__cause__ = KeyError("a cause")
    failed.exc_info = (RuntimeError, error, None)
    line = JsonLines("worker").format(failed)
    assert len(line.splitlines()) == 1
    error_text = json.loads(line)["error"]
    assert error_text.index("a cause") < error_text.index("two\nlines")
