"""Logs: one JSON object a line on standard error."""

import json
import logging
from datetime import UTC, datetime
from typing import Any

EXTRAS = ("request_id", "path", "job_id", "viewer")


class JsonLines(logging.Formatter):
    """A record as one line of JSON."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "process": self._process,
            "logger": record.name,
            "message": _message(record),
            **{name: getattr(record, name) for name in EXTRAS if hasattr(record, name)},
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=_text)


def _message(record: logging.LogRecord) -> str:
    """The sentence; one whose values do not fit is not lost."""
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - whatever it is, a log must not fail
        return str(record.msg)


def _text(value: object) -> str:
    """What JSON has no word for."""
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - as above
        return f"<{type(value).__name__}>"


def configure(process: str) -> dict[str, Any]:
    """Log as a process of this name; what uvicorn is given to do the same."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines(process))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for noisy in ("httpx", "procrastinate", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    return {"version": 1, "disable_existing_loggers": False}
