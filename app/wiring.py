"""Connects the ports with their implementations: the only module that knows both."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

import procrastinate
from sqlalchemy.ext.asyncio import AsyncEngine

from app.settings import MEBIBYTE, Settings
from app.storage import storage_of
from domain.base_models import HubLimits
from domain.documents import UploadLimits
from domain.ports.storage import Storage
from domain.services import Services
from edge.connection_quotas import ConnectionQuotas
from infra.base_model_files import DiskBaseModelCache
from infra.completions import OpenAICompletions
from infra.db import gateway, job_events
from infra.db.engine import conninfo, engine
from infra.db.transactions import SqlTransactions
from infra.encoding import guess_encodings
from infra.events.job_streams import JobStreams
from infra.events.listener import Listener
from infra.gateway.key_table import SqlKeyTable
from infra.gateway.log_writer import BatchLogWriter
from infra.health import HealthCheck
from infra.hub import HuggingFaceHub
from infra.queue import Enqueuer, open_queue
from infra.rate_limiter import open_rate_limiter
from infra.runtime.embedded import EmbeddedRuntime
from infra.runtime.remote import RemoteRuntime
from infra.security import Argon2Passwords, JwtTokens
from infra.training.importer import ProcessImporter
from infra.training.trainer import ProcessTrainer
from rest.gateway import Gateway

VERSION = version("luthier")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """The objects that one process shares."""

    services: Services
    gateway: Gateway
    quotas: ConnectionQuotas
    queue: procrastinate.App
    engine: AsyncEngine


def runtime_of(settings: Settings, storage: Storage) -> EmbeddedRuntime | RemoteRuntime:
    """The model server of the settings, or the embedded one."""
    if settings.llm_base_url:
        return RemoteRuntime(settings.llm_base_url, settings.llm_api_key, storage)
    return EmbeddedRuntime(settings.luthier_runtime_url or "", settings.luthier_runtime_token or "")


@asynccontextmanager
async def wire(settings: Settings) -> AsyncIterator[Wiring]:
    """The objects of a process, closed at the end of the block."""
    database = engine(settings.database_url)
    queue = open_queue(conninfo(settings.database_url), connections=16)
    transactions = SqlTransactions(database, Enqueuer(queue))
    storage = storage_of(settings)
    runtime = runtime_of(settings, storage)
    log_writer = BatchLogWriter(database)
    completions = OpenAICompletions()
    settings.work_folder.mkdir(parents=True, exist_ok=True)
    async with (
        Listener(conninfo(settings.database_url), gateway.CHANNEL, job_events.CHANNEL) as listener,
        SqlKeyTable(database, listener) as keys,
        open_rate_limiter(settings.rate_limits, settings.rate_limits_url) as rate_limiter,
    ):
        openai_gateway = Gateway(keys, runtime, log_writer)
        services = Services(
            transactions=transactions,
            storage=storage,
            job_streams=JobStreams(listener, transactions),
            passwords=Argon2Passwords(),
            tokens=JwtTokens(settings.secret_key),
            runtime=runtime,
            completions=completions,
            health=HealthCheck(database, storage, runtime, VERSION),
            trainer=ProcessTrainer(settings.models_folder),
            hub=HuggingFaceHub(settings.hf_endpoint, settings.hf_token),
            hub_limits=HubLimits(enabled=settings.hub_models, max_bytes=int(settings.max_model_gb * 1e9)),
            model_importer=ProcessImporter(),
            base_model_cache=DiskBaseModelCache(settings.models_folder),
            work_folder=settings.work_folder,
            guess_encodings=guess_encodings,
            limits=UploadLimits(settings.max_file_mb * MEBIBYTE, settings.max_project_mb * MEBIBYTE),
            external_api_key=settings.app_external_api_key,
            now=_now,
            rate_limiter=rate_limiter,
        )
        try:
            yield Wiring(
                services=services,
                gateway=openai_gateway,
                quotas=_quotas(settings),
                queue=queue,
                engine=database,
            )
        finally:
            await openai_gateway.aclose()
            await log_writer.aclose()
            await runtime.aclose()
            await completions.aclose()
            await database.dispose()


def _quotas(settings: Settings) -> ConnectionQuotas:
    return ConnectionQuotas(
        subscriptions=settings.max_subscriptions_per_user,
        websockets=settings.max_connections_per_user,
        unauthenticated_websockets=settings.max_unauthenticated_per_address,
        operations=settings.max_operations_per_connection,
    )


def _now() -> datetime:
    return datetime.now(UTC)
