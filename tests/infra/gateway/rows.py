"""Rows that the gateway reads, and a proxy of the database that can be stopped."""

import asyncio
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import URL, insert, make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine

from domain import ids
from domain.api_keys import new_key
from domain.artifacts import Artifact, ArtifactKind
from domain.datasets import DatasetOrigin, RunStatus
from domain.deployments import DeploymentStatus
from domain.hyperparameters import FinetuneMethod, Hyperparameters
from domain.ids import Noun
from domain.projects import ProjectStatus, TaskType
from infra.db.tables import api_keys, datasets, deployments, finetunes, projects, users

NOW = datetime.now(UTC)
GGUF = Artifact(filename="llama_3.2_demo_v1.gguf", kind=ArtifactKind.GGUF, size_bytes=7, sha256="ab")
ADAPTER = Artifact(filename="adapter.zip", kind=ArtifactKind.ADAPTER, size_bytes=7, sha256="cd")


HYPERPARAMETERS = Hyperparameters(
    num_epochs=1,
    learning_rate=1e-4,
    per_device_batch_size=1,
    gradient_accumulation_steps=1,
    max_seq_length=128,
    lora_r=8,
    lora_alpha=16,
    lora_dropout=0,
    target_modules=("q_proj",),
    warmup_ratio=0,
    weight_decay=0,
)


@dataclass
class GatewayRows:
    """A user with a project; more is added as a test needs it."""

    engine: AsyncEngine
    user_id: str
    project_id: str

    async def finetune(self, *artifacts: Artifact) -> str:
        """A fine-tune named `llama/3.2_demo_v1`."""
        id, dataset_id = ids.new(Noun.FINETUNE), ids.new(Noun.DATASET)
        dataset = {
            "id": dataset_id,
            "project_id": self.project_id,
            "version": await self._version(),
            "name": "d",
            "status": RunStatus.DONE,
            "origin": DatasetOrigin.UPLOADED,
            "file_count": 1,
            "total_size_bytes": 1,
            "input_field": "i",
            "output_field": "o",
            "field_names": ["i", "o"],
            "language_iso": "en",
            "train_share": 0.9,
            "seed": 0,
            "holds_out": True,
            "max_tokens": 10,
            "created_at": NOW,
            "updated_at": NOW,
        }
        finetune = {
            "id": id,
            "project_id": self.project_id,
            "version": dataset["version"],
            "model_name": "llama/3.2_demo_v1",
            "base_model_name": "llama",
            "status": RunStatus.DONE,
            "method": FinetuneMethod.LORA,
            "hyperparameters": HYPERPARAMETERS,
            "dataset_id": dataset_id,
            "training_dataset_select_random": False,
            "seed": 0,
            "trained_item_count": 1,
            "inference_samples": (),
            "warnings": [],
            "artifacts": artifacts,
            "created_at": NOW,
        }
        async with self.engine.begin() as connection:
            await connection.execute(insert(datasets).values(**dataset))
            await connection.execute(insert(finetunes).values(**finetune))
        return id

    async def deployment(
        self,
        name: str = "demo",
        finetune_id: str | None = None,
        status: DeploymentStatus = DeploymentStatus.READY,
    ) -> str:
        """A deployment of the project."""
        id = ids.new(Noun.DEPLOYMENT)
        values = {
            "id": id,
            "project_id": self.project_id,
            "model_name": name,
            "status": status,
            "created_at": NOW,
        }
        async with self.engine.begin() as connection:
            await connection.execute(insert(deployments).values(**values, finetune_id=finetune_id))
            await connection.execute(text("notify gateway_changed"))
        return id

    async def key(self, deployment_id: str | None, **change: datetime) -> tuple[str, str]:
        """A key's id and its secret."""
        key, secret = new_key(self.user_id, "key", now=NOW, deployment_id=deployment_id)
        values = asdict(key) | change
        async with self.engine.begin() as connection:
            await connection.execute(insert(api_keys).values(**values))
            await connection.execute(text("notify gateway_changed"))
        return key.id, secret

    async def change(self, statement: Any) -> None:
        """Change something, and notify the gateways as the stores do."""
        async with self.engine.begin() as connection:
            await connection.execute(statement)
            await connection.execute(text("notify gateway_changed"))

    async def _version(self) -> int:
        async with self.engine.connect() as connection:
            return int(await connection.scalar(text("select count(*) + 1 from datasets")) or 0)


async def add_project(engine: AsyncEngine) -> GatewayRows:
    """A new user with a project."""
    rows = GatewayRows(engine, ids.new(Noun.USER), ids.new(Noun.PROJECT))
    user = {
        "id": rows.user_id,
        "email": f"{rows.user_id}@example.test",
        "name": "U",
        "password_hash": "-",
        "current_plan": "FREE",
        "created_at": NOW,
    }
    project = {
        "id": rows.project_id,
        "owner_id": rows.user_id,
        "name": "P",
        "task_type": next(iter(TaskType)),
        "status": next(iter(ProjectStatus)),
        "num_examples_target": 10,
        "max_seq_length": 100,
        "train_eval_split": 0.9,
        "created_at": NOW,
        "updated_at": NOW,
    }
    async with engine.begin() as connection:
        await connection.execute(insert(users).values(**user))
        await connection.execute(insert(projects).values(**project))
    return rows


class DatabaseProxy:
    """A Unix socket before PostgreSQL's own: while it is stopped, the database is down for its clients."""

    def __init__(self, database_url: str, folder: Path) -> None:
        url = make_url(database_url)
        self._real = Path(str(url.query["host"])) / ".s.PGSQL.5432"
        self._own = folder / ".s.PGSQL.5432"
        self.url = _through(url, folder)
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Accept connections."""
        self._own.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._forward, self._own)

    async def stop(self) -> None:
        """Abort every connection, and accept no new one."""
        if self._server is not None:
            self._server.close()
            self._own.unlink(missing_ok=True)
        for writer in self._open:
            writer.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(self._real)
        self._open |= {writer, back}
        await asyncio.gather(_pump(reader, back), _pump(there, writer))
        self._open -= {writer, back}


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()


def _through(url: URL, folder: Path) -> str:
    changed = url.update_query_dict({"host": str(folder)})
    return changed.render_as_string(hide_password=False)
