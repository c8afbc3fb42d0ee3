"""What is refused before anything runs: documents that are too large, too deep or too expensive, and calls that come too often."""

from schema.admission._admission import Admission
from schema.admission._rate_limits import rate_limit_error

__all__ = ["Admission", "rate_limit_error"]
