"""Object storage over S3: boto3 in threads of its own, so that a slow bucket delays nothing else."""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import boto3
from boto3.s3.transfer import TransferConfig, create_transfer_manager
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from s3transfer.exceptions import CancelledError, RetriesExceededError

from domain.errors import NotFound, Unavailable
from domain.ports.storage import ObjectChanged, PresignedPut, StoredObject

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef
    from s3transfer.futures import TransferFuture

P = ParamSpec("P")
T = TypeVar("T")

CHUNK = 1_048_576
PART = 8 * CHUNK
"""Bytes of one part of an upload; S3 accepts 10,000 parts of at least 5 MiB."""
DELETE_BATCH = 1_000
"""How many keys S3 deletes with one request."""
ABSENT = frozenset({"404", "NoSuchKey", "NotFound"})
THREADS = 32
TRANSFERS = TransferConfig(
    multipart_threshold=PART,
    multipart_chunksize=PART,
    max_concurrency=4,
    io_chunksize=CHUNK,
    max_io_queue=4,
    preferred_transfer_client="classic",
)
"""How files are transferred: four parts at a time, at most one part of bytes in memory on the way to the disk."""


class S3Storage:
    """One bucket. Without keys boto3 finds credentials in the usual places."""

    def __init__(
        self,
        *,
        endpoint_url: str | None,
        public_endpoint_url: str | None,
        bucket: str,
        region: str,
        access_key: str | None = None,
        secret_key: str | None = None,
    ) -> None:
        self._bucket = bucket
        session = boto3.Session(
            aws_access_key_id=access_key, aws_secret_access_key=secret_key, region_name=region
        )
        self._s3 = _client(session, endpoint_url, _config(max_pool_connections=THREADS))
        self._public = _client(session, public_endpoint_url or endpoint_url, _config())
        no_retry = _config(connect_timeout=2, read_timeout=2, retries={"total_max_attempts": 1})
        self._health_client = _client(session, endpoint_url, no_retry)
        self._transfers = create_transfer_manager(self._s3, TRANSFERS)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="s3")

    @property
    def uri(self) -> str:
        return f"s3://{self._bucket}"

    async def presign_put(self, key: str, media_type: str, seconds: int) -> PresignedPut:
        """A URL under the public endpoint that accepts one PUT with this content type."""
        url = await self._run(
            self._public.generate_presigned_url,
            "put_object",
            Params={"Bucket": self._bucket, "Key": key, "ContentType": media_type},
            ExpiresIn=seconds,
        )
        return PresignedPut(url, {"Content-Type": media_type})

    async def head(self, key: str) -> StoredObject | None:
        try:
            found = await self._run(self._s3.head_object, Bucket=self._bucket, Key=key)
        except NotFound:
            return None
        return StoredObject(key, found["ContentLength"], found["ETag"].strip('"'))

    async def read(
        self, key: str, start: int = 0, end: int | None = None, *, etag: str | None = None
    ) -> AsyncIterator[bytes]:
        """The bytes from `start` up to and including `end`, a chunk at a time. Raises `NotFound` or `ObjectChanged`.

        The entity tag is compared here: not every server implements If-Match.
        """
        request: dict[str, Any] = {"Bucket": self._bucket, "Key": key}
        if start or end is not None:  # an empty object has no byte 0 to ask for
            request["Range"] = f"bytes={start}-{'' if end is None else end}"
        found = await self._run(self._s3.get_object, **request)
        body = found["Body"]
        try:
            if etag is not None and found["ETag"].strip('"') != etag:
                raise ObjectChanged
            while chunk := await self._run(body.read, CHUNK):
                yield chunk
        finally:
            body.close()

    async def write(self, key: str, chunks: AsyncIterator[bytes], media_type: str) -> int:
        """Put a stream, with one part in memory; nothing is left under the key when it fails.

        boto3's own `upload_fileobj` would block a thread for as long as a slow client sends.
        """
        upload = _StreamUpload(self, key, media_type)
        try:
            async for chunk in chunks:
                await upload.add(chunk)
            return await upload.finish()
        except BaseException:
            await asyncio.shield(upload.abort())
            raise

    async def upload(self, key: str, path: Path, media_type: str) -> None:
        await self._finish(self._transfers.upload(str(path), self._bucket, key, {"ContentType": media_type}))

    async def download(self, key: str, path: Path) -> None:
        await self._finish(self._transfers.download(self._bucket, key, str(path)))

    async def _finish(self, transfer: "TransferFuture") -> None:
        """Wait for a transfer; when the waiting task is cancelled, until it has been aborted and cleaned up."""
        try:
            await self._run(transfer.result)
        except asyncio.CancelledError:
            transfer.cancel()
            with suppress(CancelledError, NotFound, Unavailable, OSError):
                await asyncio.shield(self._run(transfer.result))
            raise

    async def keys(self, prefix: str) -> list[StoredObject]:
        return await self._run(lambda: list(self._list(prefix)))

    def _list(self, prefix: str) -> Iterator[StoredObject]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        for page in pages:
            for stored in page.get("Contents", []):
                yield StoredObject(stored["Key"], stored["Size"], stored["ETag"].strip('"'))

    async def delete(self, prefix: str) -> None:
        """Delete every object whose key begins with `prefix`; an empty prefix would be the whole bucket."""
        if not prefix:
            raise ValueError("Refusing to delete the whole bucket.")
        keys = [stored.key for stored in await self.keys(prefix)]
        for first in range(0, len(keys), DELETE_BATCH):
            await self._run(self._delete, keys[first : first + DELETE_BATCH])

    def _delete(self, keys: list[str]) -> None:
        response = self._s3.delete_objects(
            Bucket=self._bucket, Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True}
        )
        if errors := [error for error in response.get("Errors", []) if error.get("Code") not in ABSENT]:
            raise _unavailable_error(str(errors[0].get("Message", "")))

    async def health(self) -> str:
        try:
            await self._run(self._health_client.head_bucket, Bucket=self._bucket)
        except NotFound:
            return "the bucket does not exist"
        except Unavailable as error:
            return "access is denied" if _is_denied(error.__cause__) else "unreachable"
        return "connected"

    async def _run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """A blocking call in one of our threads; raises its errors as the domain's."""
        work = functools.partial(call, *args, **kwargs)
        with _translated():
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)


class _StreamUpload:
    """An upload of a stream into one object: one PUT where the stream is short, else a multipart upload."""

    def __init__(self, storage: S3Storage, key: str, media_type: str) -> None:
        self._run = storage._run  # noqa: SLF001 - the storage's own upload
        self._s3 = storage._s3  # noqa: SLF001
        self._object: dict[str, Any] = {"Bucket": storage._bucket, "Key": key}  # noqa: SLF001
        self._media_type = media_type
        self._buffer = bytearray()
        self._parts: list[CompletedPartTypeDef] = []
        self._id: str | None = None
        self._size = 0

    async def add(self, chunk: bytes) -> None:
        """Append a chunk of any length."""
        self._size += len(chunk)
        self._buffer += chunk
        while len(self._buffer) >= PART:
            await self._put_part(bytes(self._buffer[:PART]))
            del self._buffer[:PART]

    async def finish(self) -> int:
        """Complete the object; returns its size in bytes."""
        if self._id is None:
            await self._run(
                self._s3.put_object,
                **self._object,
                Body=bytes(self._buffer),
                ContentType=self._media_type,
            )
            return self._size
        if self._buffer:
            await self._put_part(bytes(self._buffer))
        await self._run(
            self._s3.complete_multipart_upload,
            **self._object,
            UploadId=self._id,
            MultipartUpload={"Parts": self._parts},
        )
        return self._size

    async def _put_part(self, body: bytes) -> None:
        if self._id is None:
            created = await self._run(
                self._s3.create_multipart_upload, **self._object, ContentType=self._media_type
            )
            self._id = created["UploadId"]
        number = len(self._parts) + 1
        put = await self._run(
            self._s3.upload_part, **self._object, UploadId=self._id, PartNumber=number, Body=body
        )
        self._parts.append({"ETag": put["ETag"], "PartNumber": number})

    async def abort(self) -> None:
        """Delete the parts; where storage does not answer they expire by the bucket's own rule."""
        if self._id is not None:
            with suppress(NotFound, Unavailable):
                await self._run(self._s3.abort_multipart_upload, **self._object, UploadId=self._id)


def _config(**options: Any) -> Config:
    """Checksums only where S3 requires them: other servers reject the newer ones."""
    timeouts: dict[str, Any] = {
        "connect_timeout": 5,
        "read_timeout": 60,
        "retries": {"total_max_attempts": 3},
    }
    return Config(
        signature_version="s3v4",
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        **(timeouts | options),
    )


def _client(session: boto3.Session, endpoint_url: str | None, config: Config) -> "S3Client":
    return session.client("s3", endpoint_url=endpoint_url, config=config)


@contextmanager
def _translated() -> Iterator[None]:
    """Raises the errors of boto3 as the domain's."""
    try:
        yield
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in ABSENT:
            raise NotFound("There is no such object in storage.", reason="OBJECT_NOT_FOUND") from error
        raise _unavailable_error(str(error)) from error
    except (BotoCoreError, HTTPClientError, RetriesExceededError) as error:
        raise _unavailable_error(str(error)) from error


def _is_denied(error: BaseException | None) -> bool:
    status = error.response.get("ResponseMetadata", {}) if isinstance(error, ClientError) else {}
    return status.get("HTTPStatusCode") == HTTPStatus.FORBIDDEN


def _unavailable_error(reason: str) -> Unavailable:
    unavailable = Unavailable("The object storage does not answer.", reason="STORAGE_UNAVAILABLE")
    unavailable.add_note(reason)
    return unavailable
