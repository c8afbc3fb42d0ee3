"""Every setting, read once from the environment; nothing below `app/` reads it."""

from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

MEBIBYTE = 1_048_576


class SettingsError(Exception):
    """A setting is missing or wrong; the message is one sentence."""


class Settings(BaseSettings):
    """The settings of one process. `luthier up` fills in what it starts itself."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    luthier_home: Path = Path("data")
    database_url: str
    secret_key: str = Field(min_length=16)
    s3_endpoint_url: str | None = None
    s3_public_endpoint_url: str | None = None
    s3_bucket: str
    aws_region: str = "us-east-1"
    aws_access_key_id: str | None = None
    aws_secret_access_key: str | None = None
    llm_base_url: str | None = None
    llm_api_key: str | None = None
    luthier_runtime_url: str | None = None
    luthier_runtime_token: str | None = None
    luthier_ready_file: Path | None = None
    luthier_stalled_s: float = Field(20.0, gt=0)
    app_external_api_key: str | None = None
    max_file_mb: int = Field(50, ge=1)
    max_project_mb: int = Field(500, ge=1)
    public_url: str | None = None
    console_origins: str = ""

    @property
    def work_folder(self) -> Path:
        """Where this machine's workers keep what they are working on."""
        return self.luthier_home / "work"

    @property
    def models_folder(self) -> Path:
        """Where base models made on the spot, and loaded GGUFs, are kept."""
        return self.luthier_home / "models"


def read_settings(**overrides: Any) -> Settings:
    """The environment's settings; raises `SettingsError` with a sentence that names what is wrong."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]).upper()
        if first["type"] == "missing":
            raise SettingsError(
                f"{name} is not set. `luthier up` sets it for the servers that it starts; in production set it yourself."
            ) from None
        raise SettingsError(f"{name} is not right: {first['msg']}.") from None
