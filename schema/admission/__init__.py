"""Admission control: refuses documents that are too large, and clients that exceed their rate limit."""

from schema.admission._admission import Admission
from schema.admission._rate_limits import rate_limit_error

__all__ = ["Admission", "rate_limit_error"]
