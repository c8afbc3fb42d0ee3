"""Object storage from the settings."""

from app.settings import StorageSettings
from infra.s3 import S3Storage


def storage_of(settings: StorageSettings) -> S3Storage:
    """The bucket of the settings."""
    return S3Storage(
        endpoint_url=settings.s3_endpoint_url,
        public_endpoint_url=settings.s3_public_endpoint_url,
        bucket=settings.s3_bucket,
        region=settings.aws_region,
        access_key=settings.aws_access_key_id,
        secret_key=settings.aws_secret_access_key,
    )
