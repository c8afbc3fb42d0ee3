"""Creating, changing and deleting projects."""

from typing import Any

import strawberry

from domain.projects import ProjectStatus, TaskType
from resolvers import projects as resolve
from schema.shared.context import Info
from schema.shared.inputs import given_fields, optional, or_none
from schema.shared.payloads import (
    IDEMPOTENCY_KEY,
    DeleteInput,
    DeletePayload,
    Payload,
    mutation,
    payload_field,
)
from schema.types.projects import Project


@strawberry.input(
    description="Settings of a project. Absent or null ones keep their "
    "value; in a new project they take the default."
)
class ProjectConfigInput:
    num_examples_target: int | None = optional(
        "Number of items that a generated dataset should have, 1 to "
        "1,000,000; for information. Default 2,000."
    )
    max_seq_length: int | None = optional(
        "Maximum estimated tokens of an item in new datasets, above which it is invalid; also "
        "the default `maxSeqLength` of fine-tunes. 16 to 1,048,576. Default 2,048."
    )
    train_eval_split: float | None = optional(
        "Fraction of the items of new datasets used for training, above 0, at most 1; the rest is held out for "
        "evaluation. At 1, and below 50 valid items, nothing is held out. Default 0.9."
    )


@strawberry.input(description="The project to create.")
class CreateProjectInput:
    name: str = strawberry.field(description="Display name, at most 200 characters.")
    description: str | None = optional(
        "Free-text description, at most 65,536 characters; none when absent or null."
    )
    task_type: TaskType = strawberry.field(
        default=TaskType.INSTRUCTION, description="Task that the fine-tuned model is meant for."
    )
    config: ProjectConfigInput | None = optional("Settings that differ from the defaults.")
    idempotency_key: str | None = optional(IDEMPOTENCY_KEY)


@strawberry.input(description="Changes to a project; absent fields keep their value.")
class UpdateProjectInput:
    id: strawberry.ID = strawberry.field(description="TypeID of the project.")
    name: str | None = optional("New display name, at most 200 characters.")
    description: str | None = optional(
        "New free-text description, at most 65,536 characters; null removes it."
    )
    task_type: TaskType | None = optional("New task of the fine-tuned model.")
    status: ProjectStatus | None = optional("`ARCHIVED` to refuse new work, `ACTIVE` to accept it again.")
    base_model_id: strawberry.ID | None = optional(
        "Base model to select for the project; null removes the selection."
    )
    training_dataset_id: strawberry.ID | None = optional(
        "Dataset of the project to select; null removes the selection."
    )
    finetune_id: strawberry.ID | None = optional(
        "Fine-tune of the project to select; null removes the selection."
    )
    config: ProjectConfigInput | None = optional("Settings to change.")


def _flattened_values(input: Any, *without: str) -> dict[str, Any]:
    """An input's fields with those of its `config` beside them: the domain keeps one record."""
    config = or_none(input.config)
    values = {
        name: value for name, value in (given_fields(config) if config else {}).items() if value is not None
    }
    return given_fields(input, "config", *without) | values


@strawberry.type(description="Result of `createProject`.")
class CreateProjectPayload(Payload):
    project: Project | None = payload_field("The new project.")


@strawberry.type(description="Result of `updateProject`.")
class UpdateProjectPayload(Payload):
    project: Project | None = payload_field("The project after the change.")


@strawberry.type
class ProjectMutations:
    @mutation
    async def create_project(self, info: Info, input: CreateProjectInput) -> CreateProjectPayload:
        """Creates an empty project."""
        values = _flattened_values(input, "idempotency_key")
        created = await resolve.create(info.context, values, or_none(input.idempotency_key))
        return CreateProjectPayload(project=Project.from_domain(created))

    @mutation
    async def update_project(self, info: Info, input: UpdateProjectInput) -> UpdateProjectPayload:
        """Changes the given fields of a project; an update that changes nothing is refused."""
        changed = await resolve.update(info.context, input.id, _flattened_values(input, "id"))
        return UpdateProjectPayload(project=Project.from_domain(changed))

    @mutation
    async def delete_project(self, info: Info, input: DeleteInput) -> DeletePayload:
        """Deletes a project with all its documents, datasets, fine-tunes, deployments and files."""
        return DeletePayload(deleted_id=strawberry.ID(await resolve.delete(info.context, input.id)))
