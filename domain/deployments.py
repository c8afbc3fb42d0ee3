"""Deployments: models that the gateway serves under a name."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from domain.jobs import JobStatus
from domain.reading import Reads

MODEL_NAME_LIMIT = 400
"""Characters: a fine-tune's model name contains the names of its project and its base model."""


class DeploymentStatus(StrEnum):
    """Status of a deployment: STARTING until the model runtime has loaded its model."""

    STARTING = "STARTING"
    READY = "READY"
    FAILED = "FAILED"
    STOPPED = "STOPPED"


class ModelCapability(StrEnum):
    """What a model can do beyond answering with free text."""

    TOOLS = "TOOLS"
    STRUCTURED_OUTPUT = "STRUCTURED_OUTPUT"
    REASONING = "REASONING"
    EMBEDDINGS = "EMBEDDINGS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A model that a project serves under `model_name`. `finetune_id` is None for a model of the runtime's own.

    `capabilities` are those of the loaded model, in the order of the enum; None before, and where its server
    does not say what it can do.
    """

    id: str
    project_id: str
    owner_id: str
    model_name: str
    finetune_id: str | None = None
    status: DeploymentStatus = DeploymentStatus.STARTING
    error: str | None = None
    capabilities: tuple[ModelCapability, ...] | None = None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentFilter:
    """Conditions that listed deployments fulfill."""

    status: DeploymentStatus | None = None


class DeploymentReads(Reads[Deployment], Protocol):
    """Reads deployments."""

    async def of_finetune(self, finetune_id: str) -> list[str]:
        """The ids of the deployments of a fine-tune."""
        ...


class Deployments(DeploymentReads, Protocol):
    """Reads and writes deployments."""

    async def add(self, deployment: Deployment) -> bool:
        """Insert a deployment; False when the project has one of this model name already."""
        ...

    async def change(self, id: str, values: Mapping[str, Any]) -> None: ...
    async def delete(self, id: str) -> None: ...


DEPLOYMENT_STATUS_OF_JOB = {
    JobStatus.QUEUED: DeploymentStatus.STARTING,
    JobStatus.RUNNING: DeploymentStatus.STARTING,
    JobStatus.SUCCESS: DeploymentStatus.READY,
    JobStatus.FAILED: DeploymentStatus.FAILED,
    JobStatus.CANCELLED: DeploymentStatus.STOPPED,
}
"""The status of a deployment by the status of its job."""
