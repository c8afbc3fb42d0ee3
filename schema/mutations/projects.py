"""Making, changing and deleting projects."""

from typing import Any

import strawberry

from domain.projects import ProjectStatus, TaskType
from resolvers import projects as resolve
from schema.shared.context import Info
from schema.shared.inputs import given, optional, or_none
from schema.shared.payloads import REPLAY, DeleteInput, DeletePayload, Payload, mutation, outcome
from schema.types.projects import Project


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


@strawberry.type(description="The new project.")
class CreateProjectPayload(Payload):
    """The new project."""

    project: Project | None = outcome("The new project.")


@strawberry.type(description="The changed project.")
class UpdateProjectPayload(Payload):
    """The changed project."""

    project: Project | None = outcome("The project as it is now.")


@strawberry.type
class ProjectMutations:
    """What may be done with projects."""

    @mutation
    async def create_project(self, info: Info, input: CreateProjectInput) -> CreateProjectPayload:
        """A new, empty project of the viewer's."""
        values = flat(input, "idempotency_key")
        made = await resolve.create(info.context, values, or_none(input.idempotency_key))
        return CreateProjectPayload(project=Project.of(made))

    @mutation
    async def update_project(self, info: Info, input: UpdateProjectInput) -> UpdateProjectPayload:
        """Changes what is given; an update that changes nothing is refused."""
        changed = await resolve.update(info.context, input.id, flat(input, "id"))
        return UpdateProjectPayload(project=Project.of(changed))

    @mutation
    async def delete_project(self, info: Info, input: DeleteInput) -> DeletePayload:
        """Deletes the project with its files, datasets, fine-tunes and deployments."""
        return DeletePayload(deleted_id=strawberry.ID(await resolve.delete(info.context, input.id)))
