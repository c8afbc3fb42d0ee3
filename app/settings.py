"""Every setting, read once from the environment; nothing below `app/` reads it."""

import json
from importlib.util import find_spec
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

import limits
from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.failures import Failure
from domain.rate_limits import DOCUMENTED, MAX_AMOUNT, SECONDS, CallKind, Rate, RateLimits
from edge.cors import parse_origins

MEBIBYTE = 1_048_576

Address = Annotated[str, Field(pattern="^https?://[^/]")]
"""A URL of a server, with its scheme."""


def parse_rate_limits(text: str | RateLimits | None) -> RateLimits | None:
    """The limits that a setting gives, None for `off`; raises ValueError with the end of a sentence."""
    if not isinstance(text, str):
        return text
    if text in {"off", "documented"}:
        return None if text == "off" else DOCUMENTED
    try:
        rates = json.loads(text)
    except (ValueError, RecursionError):
        rates = None
    if not isinstance(rates, dict):
        example = '{"reads": "600/minute", "train": 10}'
        raise ValueError(f"it is off, documented or JSON such as {example}")  # noqa: TRY004 - of a text's value
    return {**DOCUMENTED, **{_call_kind(name): _rate(name, rate) for name, rate in rates.items()}}


def _call_kind(name: str) -> CallKind:
    if name not in list(CallKind):
        raise ValueError(f"its kinds are {', '.join(CallKind)}")
    return CallKind(name)


def _rate(name: str, rate: object) -> Rate:
    """A number of calls a minute, or a text such as `10/hour`."""
    try:
        [limit] = limits.parse_many(f"{rate}/minute" if type(rate) is int else str(rate))
    except ValueError:  # no limit, or more than one
        limit = None
    if limit is None or not 1 <= limit.amount <= MAX_AMOUNT or limit.get_expiry() not in SECONDS.values():
        raise ValueError(f"{name} is a number a minute from 1 to {MAX_AMOUNT}, or such as 10/hour")
    return Rate(limit.amount, limit.get_expiry())


def _check_redis_url(url: str) -> str:
    """Raises ValueError unless the URL is memory:// or a Redis's, whose client is installed."""
    if url == "memory://":
        return url
    try:
        is_redis = urlsplit(url).scheme in {"redis", "rediss"} and urlsplit(url).port != 0
    except ValueError:
        is_redis = False
    if not is_redis:
        raise ValueError("it is memory://, or the URL of a Redis such as redis://localhost:6379")
    if find_spec("redis") is None:
        raise ValueError("the client of Redis is not installed: pip install 'luthier[redis]'")
    return url


def _check_addresses(proxies: str) -> str:
    """Raises ValueError unless the text is a list of addresses and networks."""
    try:
        for proxy in proxies.split(",") if proxies else ():
            ip_network(proxy.strip())
    except ValueError:
        raise ValueError(
            "it is addresses or networks with commas between, such as 10.0.0.7,172.16.0.0/12"
        ) from None
    return proxies


class SettingsError(Failure):
    """A setting is missing or wrong."""


class StorageSettings(BaseSettings):
    """Where files are."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    luthier_home: Path = Path("data")
    s3_endpoint_url: Address | None = None
    s3_public_endpoint_url: Address | None = None
    s3_bucket: str
    aws_region: str = "us-east-1"
    aws_access_key_id: str | None = None
    aws_secret_access_key: str | None = None

    @property
    def work_folder(self) -> Path:
        """The folder of files that workers on this machine use while they work."""
        return self.luthier_home / "work"

    @property
    def models_folder(self) -> Path:
        """The folder of base models that this machine made."""
        return self.luthier_home / "models"

    @property
    def loaded_folder(self) -> Path:
        """The folder of the embedded model runtime's copies of GGUFs."""
        return self.luthier_home / "models" / "loaded"


class RuntimeSettings(StorageSettings):
    """The settings of the embedded model runtime, which `luthier up` makes."""

    luthier_runtime_url: str
    luthier_runtime_token: str


class Settings(StorageSettings):
    """The settings of the API and of workers. `luthier up` fills in what it starts itself."""

    database_url: str
    secret_key: str = Field(min_length=16)
    llm_base_url: Address | None = None
    llm_api_key: str | None = None
    luthier_runtime_url: str | None = None
    luthier_runtime_token: str | None = None
    luthier_ready_file: Path | None = None
    luthier_stalled_s: float = Field(20.0, gt=0)
    app_external_api_key: str | None = Field(None, min_length=16)
    max_file_mb: int = Field(50, ge=1)
    max_project_mb: int = Field(500, ge=1)
    public_url: Address | None = None
    origins: Annotated[tuple[str, ...], NoDecode, BeforeValidator(parse_origins)] = Field(
        (), validate_default=False, validation_alias=AliasChoices("ORIGINS", "CONSOLE_ORIGINS")
    )  # from which browsers may call, beside the server's own; the second name is removed after 0.1
    fast_execution: bool = (
        True  # of GraphQL: schema/execution/_executor.py rather than strawberry's own executor
    )
    max_subscriptions_per_user: int = Field(
        100, ge=1
    )  # and logs that are followed; these four: in each process
    max_connections_per_user: int = Field(50, ge=1)  # WebSockets; a browser's tab has one
    max_operations_per_connection: int = Field(20, ge=1)  # at a time on one WebSocket
    max_unauthenticated_per_address: int = Field(
        100,
        ge=1,
        validation_alias=AliasChoices("MAX_UNAUTHENTICATED_PER_ADDRESS", "MAX_STRANGERS_PER_ADDRESS"),
    )  # WebSockets before connection_init; the second name is removed in the release after 0.1
    slow_client_timeout_s: float = Field(
        30.0, gt=0, validation_alias=AliasChoices("SLOW_CLIENT_TIMEOUT_S", "SLOW_CONSUMER_S")
    )  # a stream whose client reads nothing for this long is closed; the second name is removed after 0.1
    rate_limits: Annotated[RateLimits | None, NoDecode, BeforeValidator(parse_rate_limits)] = DOCUMENTED
    rate_limits_url: Annotated[str, AfterValidator(_check_redis_url)] = "memory://"
    hf_endpoint: Address = "https://huggingface.co"
    hf_token: str | None = None
    hub_models: bool = True  # whether models outside of the catalog can be tuned
    max_model_gb: float = Field(80.0, gt=0)  # of a hub model's weights, in GB of 10^9 bytes
    trusted_proxies: Annotated[str, AfterValidator(_check_addresses)] = ""  # whose X-Forwarded-For is trusted


class DatabaseSettings(BaseSettings):
    """All that migrations need; `model_catalogue` is an operator's own catalog file."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    database_url: str
    model_catalogue: Path | None = None


S = TypeVar("S", bound=BaseSettings)


def read(kind: type[S], **overrides: Any) -> S:
    """The environment's settings; raises `SettingsError` with a sentence that names what is wrong."""
    try:
        return kind(**overrides)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]).upper()
        if first["type"] == "missing":
            raise SettingsError(
                f"{name} is not set. `luthier up` sets it for the servers that it starts; else set it yourself."
            ) from None
        if first["type"] == "string_pattern_mismatch":
            raise SettingsError(f"{name} is not a URL that begins with http:// or https://.") from None
        reason = first["msg"].removeprefix("Value error, ")
        raise SettingsError(f"{name} is invalid: {reason}.") from None


def read_settings(**overrides: Any) -> Settings:
    """The settings of the API and of workers, which need a model server; raises `SettingsError`."""
    settings = read(Settings, **overrides)
    if not settings.llm_base_url and not (settings.luthier_runtime_url and settings.luthier_runtime_token):
        raise SettingsError(
            "LLM_BASE_URL is not set, and `luthier up` has not started the embedded model runtime."
        )
    return settings
