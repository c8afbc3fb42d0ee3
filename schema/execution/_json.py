"""JSON of answers."""

from datetime import datetime
from json import dumps

import orjson


def encode_json(value: object) -> bytes:
    """JSON; integers longer than 64 bits, which users may keep in JSON of theirs, are left to the slower encoder."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return dumps(value, separators=(",", ":"), default=datetime.isoformat).encode()
