"""Admission control: refuses large documents, and clients over their rate limit. What decides before execution may enter."""

from schema.admission._admission import Admission
from schema.admission._rate_limits import rate_limit_error

__all__ = ["Admission", "rate_limit_error"]
