"""The ports that requests and jobs use."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from domain.base_models import HubLimits
from domain.documents import UploadLimits
from domain.files.encoding_detection import GuessEncodings
from domain.ports.base_model_cache import BaseModelCache
from domain.ports.completions import Completions
from domain.ports.health import Health
from domain.ports.job_streams import JobStreams
from domain.ports.model_hub import ModelHub
from domain.ports.model_importer import ModelImporter
from domain.ports.model_runtime import ModelRuntime
from domain.ports.passwords import Passwords
from domain.ports.rate_limiter import RateLimiter
from domain.ports.storage import Storage
from domain.ports.tokens import Tokens
from domain.ports.trainer import Trainer
from domain.store import Transactions


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The ports and settings of a process; `app/wiring.py` builds them."""

    transactions: Transactions
    storage: Storage
    job_streams: JobStreams
    passwords: Passwords
    tokens: Tokens
    runtime: ModelRuntime
    completions: Completions
    health: Callable[[], Awaitable[Health]]
    trainer: Trainer
    hub: ModelHub
    hub_limits: HubLimits
    model_importer: ModelImporter
    base_model_cache: BaseModelCache
    work_folder: Path
    guess_encodings: GuessEncodings
    limits: UploadLimits
    external_api_key: str | None
    now: Callable[[], datetime]
    rate_limiter: RateLimiter | None
    """None when rate limits are off."""
