"""Deployments: a model that answers under a name."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from domain.jobs import JobStatus
from domain.reading import Reads

MODEL_NAME_LIMIT = 400
"""Characters: a fine-tune's model name holds its project's name and its base model's."""


class DeploymentStatus(StrEnum):
    """STARTING until the model runtime has loaded the model."""

    STARTING = "STARTING"
    READY = "READY"
    FAILED = "FAILED"
    STOPPED = "STOPPED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A model that answers in a project under `model_name`; no fine-tune when the runtime has its own model."""

    id: str
    project_id: str
    owner_id: str
    model_name: str
    finetune_id: str | None = None
    status: DeploymentStatus = DeploymentStatus.STARTING
    error: str | None = None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentFilter:
    """Which deployments a list shows."""

    status: DeploymentStatus | None = None


class DeploymentReads(Reads[Deployment], Protocol):
    """The deployments, as they can be read."""

    async def of_finetune(self, finetune_id: str) -> list[str]:
        """The ids of the deployments of a fine-tune."""
        ...


class Deployments(DeploymentReads, Protocol):
    """The deployments that are kept."""

    async def add(self, deployment: Deployment) -> bool:
        """False when the project has a live deployment of that model name."""
        ...

    async def change(self, id: str, values: Mapping[str, Any]) -> None: ...
    async def delete(self, id: str) -> None: ...


OF_JOB = {
    JobStatus.QUEUED: DeploymentStatus.STARTING,
    JobStatus.RUNNING: DeploymentStatus.STARTING,
    JobStatus.SUCCESS: DeploymentStatus.READY,
    JobStatus.FAILED: DeploymentStatus.FAILED,
    JobStatus.CANCELLED: DeploymentStatus.STOPPED,
}
