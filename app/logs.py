"""Logs: JSON Lines on standard error."""

import json
import logging
from datetime import UTC, datetime
from typing import Any

EXTRA_FIELDS = ("request_id", "path", "job_id", "viewer")


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "process": self._process,
            "logger": record.name,
            "message": _message(record),
            **{name: getattr(record, name) for name in EXTRA_FIELDS if hasattr(record, name)},
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=_text)


def _message(record: logging.LogRecord) -> str:
    """The message; where its arguments do not fit, without them."""
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - logging must not raise
        return str(record.msg)


def _text(value: object) -> str:
    """A value that JSON cannot encode, as text."""
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - logging must not raise
        return f"<{type(value).__name__}>"


def configure(process: str) -> dict[str, Any]:
    """Configure logging for a process with this name; returns uvicorn's `log_config`."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines(process))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for noisy in ("httpx", "procrastinate", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    return {"version": 1, "disable_existing_loggers": False}
