"""What the lists and the mutations of projects are given."""

from typing import Any

import strawberry

from domain.projects import ProjectStage, ProjectStatus, TaskType
from schema.base import enumeration, given, optional, or_none
from schema.mutations import REPLAY

enumeration(
    TaskType,
    "What the tuned model is for.",
    INSTRUCTION="Follows instructions.",
    QA="Answers questions.",
    CHAT="Holds conversations.",
    SUMMARIZATION="Sums up texts.",
    CLASSIFICATION="Sorts texts into classes.",
    EXTRACTION="Takes facts out of texts.",
    VIDEO_CLASSIFICATION="Sorts videos into classes.",
    VIDEO_CAPTIONING="Describes videos in words.",
)
enumeration(
    ProjectStatus,
    "Whether a project is worked on.",
    ACTIVE="It is worked on.",
    ARCHIVED="It can be read, and nothing new begins in it.",
)
enumeration(
    ProjectStage,
    "How far a project has come.",
    DRAFT="It has nothing yet that is ready.",
    DOCUMENTS_READY="It has a document that was read.",
    GENERATING="A dataset is being filled.",
    READY_TO_TRAIN="It has a dataset that is DONE.",
    TRAINING="A fine-tune is planned or under way.",
    TRAINED="It has a fine-tune that is DONE.",
    DEPLOYED="It has a deployment that answers.",
    FAILED="Its newest job failed.",
)


@strawberry.input(description="Which projects a list shows.")
class ProjectFilter:
    """Which projects a list shows."""

    status: ProjectStatus | None = strawberry.field(default=None, description="Only those with this status.")
    stage: ProjectStage | None = strawberry.field(default=None, description="Only those at this stage.")
    name_contains: str | None = strawberry.field(
        default=None, description="Only those with this text in the name, whatever its case."
    )


@strawberry.input(description="A project's settings; absent ones keep their value, or the default.")
class ProjectConfigInput:
    """A project's settings."""

    num_examples_target: int | None = optional(
        "How many examples a generated dataset aims at, 1 to 1,000,000; 2,000 at first."
    )
    max_seq_length: int | None = optional(
        "The most tokens that one item may have, 16 to 1,048,576; 2,048 at first."
    )
    train_eval_split: float | None = optional(
        "The training share, above 0; 1, the most, holds nothing out; 0.9 at first."
    )


@strawberry.input(description="A new project.")
class CreateProjectInput:
    """A new project."""

    name: str = strawberry.field(description="Its name, at most 200 characters.")
    description: str | None = optional("What it is about, at most 65,536 characters.")
    task_type: TaskType = strawberry.field(
        default=TaskType.INSTRUCTION, description="What the tuned model is for."
    )
    config: ProjectConfigInput | None = optional("Settings that are to differ from the defaults.")
    idempotency_key: str | None = optional(REPLAY)


@strawberry.input(description="What to change; absent fields stay as they are.")
class UpdateProjectInput:
    """What to change."""

    id: strawberry.ID = strawberry.field(description="The project's TypeID.")
    name: str | None = optional("A new name, at most 200 characters.")
    description: str | None = optional("A new description; null clears it.")
    task_type: TaskType | None = optional("Another purpose of the tuned model.")
    status: ProjectStatus | None = optional("Whether it is worked on.")
    base_model_id: strawberry.ID | None = optional("The base model that is chosen; null clears the choice.")
    training_dataset_id: strawberry.ID | None = optional(
        "The dataset of the project's that is chosen; null clears the choice."
    )
    finetune_id: strawberry.ID | None = optional(
        "The fine-tune of the project's that is chosen; null clears the choice."
    )
    config: ProjectConfigInput | None = optional("Settings that are to change.")


def flat(input: Any, *without: str) -> dict[str, Any]:
    """An input's fields with those of its `config` beside them: the domain keeps one record."""
    config = or_none(input.config)
    values = {name: value for name, value in (given(config) if config else {}).items() if value is not None}
    return given(input, "config", *without) | values
