"""What may be done with fine-tunes over GraphQL."""

import strawberry

from domain.completions import Question
from domain.jobs import Runner
from domain.training import FinetuneMethod
from domain.trainings import NewFinetune
from resolvers import finetunes as resolve
from schema.base import Info, given, or_none
from schema.finetunes import Finetune
from schema.jobs import Job
from schema.mutations import DeleteInput, DeletePayload, Payload, mutation


@strawberry.input(description="Knobs of a run; the base model's defaults stand where one is absent or null.")
class HyperparametersInput:
    """Knobs of a run."""

    num_epochs: float | None = strawberry.UNSET
    learning_rate: float | None = strawberry.UNSET
    per_device_batch_size: int | None = strawberry.UNSET
    gradient_accumulation_steps: int | None = strawberry.UNSET
    max_seq_length: int | None = strawberry.UNSET
    lora_r: int | None = strawberry.UNSET
    lora_alpha: int | None = strawberry.UNSET
    lora_dropout: float | None = strawberry.UNSET
    target_modules: list[str] | None = strawberry.UNSET
    warmup_ratio: float | None = strawberry.UNSET
    weight_decay: float | None = strawberry.UNSET


@strawberry.input(description="A new fine-tune.")
class CreateFinetuneInput:
    """A new fine-tune."""

    project_id: strawberry.ID
    base_model_name: str = strawberry.field(description="BaseModel.modelId.")
    training_dataset_id: strawberry.ID = strawberry.field(description="A dataset of the project's, DONE.")
    training_dataset_number_examples: int | None = strawberry.field(
        default=strawberry.UNSET, description="How many items to train on; all of them where it is absent."
    )
    training_dataset_select_random: bool = strawberry.field(
        default=False, description="Draw them by lot instead of taking the first."
    )
    seed: int | None = strawberry.UNSET
    method: FinetuneMethod | None = strawberry.field(
        default=strawberry.UNSET, description="LORA where it is absent."
    )
    hyperparameters: HyperparametersInput | None = strawberry.UNSET
    runner: Runner = Runner.LOCAL
    output_name: str | None = strawberry.field(
        default=strawberry.UNSET, description="A name for people; its model name where it is absent."
    )
    idempotency_key: str | None = strawberry.UNSET


@strawberry.type(description="The new fine-tune, and the job that trains it.")
class CreateFinetunePayload(Payload):
    """The new fine-tune and its job."""

    finetune: Finetune | None = None
    job: Job | None = None


@strawberry.input(description="Which training to end.")
class CancelFinetuneInput:
    """Which training to end."""

    id: strawberry.ID
    save_checkpoint: bool = strawberry.field(
        default=True, description="Whether the worker keeps a checkpoint, or ends at once and keeps nothing."
    )


@strawberry.type(description="A fine-tune.")
class FinetunePayload(Payload):
    """A fine-tune."""

    finetune: Finetune | None = None


@strawberry.input(description="What to ask a fine-tune.")
class CompleteInput:
    """What to ask a fine-tune."""

    finetune_id: strawberry.ID
    prompt: str
    max_tokens: int | None = strawberry.field(
        default=strawberry.UNSET, description="The longest answer in tokens, 1 to 4,096; else 512."
    )
    temperature: float | None = strawberry.field(
        default=strawberry.UNSET, description="How freely it answers, 0 (always the likeliest) to 2."
    )


@strawberry.type(description="The answer and its tokens.")
class CompletePayload(Payload):
    """The answer and its tokens."""

    completion: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


def _new(input: CreateFinetuneInput) -> NewFinetune:
    """What is asked for; null means the same as absent."""
    values = {name: value for name, value in given(input, "idempotency_key").items() if value is not None}
    if "hyperparameters" in values:
        values["hyperparameters"] = given(values["hyperparameters"])
    return NewFinetune(**values)


@strawberry.type
class FinetuneMutations:
    """What may be done with fine-tunes."""

    @mutation
    async def create_finetune(self, info: Info, input: CreateFinetuneInput) -> CreateFinetunePayload:
        """Freezes the valid items of a dataset and queues a training; a project trains one model at a time."""
        finetune, job = await resolve.create(info.context, _new(input), or_none(input.idempotency_key))
        return CreateFinetunePayload(finetune=Finetune.of(finetune), job=Job.of(job))

    @mutation
    async def cancel_finetune(self, info: Info, input: CancelFinetuneInput) -> FinetunePayload:
        """Ends a training that is planned or under way."""
        ended = await resolve.cancel(info.context, input.id, save_checkpoint=input.save_checkpoint)
        return FinetunePayload(finetune=Finetune.of(ended))

    @mutation
    async def delete_finetune(self, info: Info, input: DeleteInput) -> DeletePayload:
        """Deletes a fine-tune with its files; not while it is trained or deployed."""
        return DeletePayload(deleted_id=strawberry.ID(await resolve.delete(info.context, input.id)))

    @mutation
    async def complete(self, info: Info, input: CompleteInput) -> CompletePayload:
        """One completion from a fine-tune, without a deployment."""
        asked = given(input, "finetune_id")
        question = Question(**{name: value for name, value in asked.items() if value is not None})
        answer = await resolve.complete(info.context, input.finetune_id, question)
        return CompletePayload(
            completion=answer.text,
            prompt_tokens=answer.prompt_tokens,
            completion_tokens=answer.completion_tokens,
        )
