"""The JSON encoding of results."""

from datetime import datetime
from json import dumps

import orjson


def encode_json(value: object) -> bytes:
    """Encode as JSON; a value with integers over 64 bits, which users may store as JSON, by the slower encoder."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return dumps(value, separators=(",", ":"), default=datetime.isoformat).encode()
