"""Starting, cancelling, deleting and asking fine-tunes."""

import strawberry

from domain.finetunes import FinetuneMethod, NewFinetune
from domain.jobs import Runner
from domain.ports.completions import Question
from resolvers import finetunes as resolve
from schema.shared.context import Info
from schema.shared.inputs import given, optional, or_none
from schema.shared.payloads import REPLAY, DeleteInput, DeletePayload, Payload, mutation, outcome
from schema.types.finetunes import Finetune
from schema.types.jobs import Job


@strawberry.input(description="Knobs of a run; the base model's defaults stand where one is absent or null.")
class HyperparametersInput:
    """Knobs of a run."""

    num_epochs: float | None = optional("How often all items are seen: above 0, at most 1,000.")
    learning_rate: float | None = optional("The highest learning rate: above 0, at most 1.")
    per_device_batch_size: int | None = optional("Items a step and device: 1 to 1,024.")
    gradient_accumulation_steps: int | None = optional("Batches before the weights move: 1 to 1,024.")
    max_seq_length: int | None = optional(
        "Tokens of an item that are read, from 16 to what the base model can; the rest is cut."
    )
    lora_r: int | None = optional("The rank of the adapter, within the base model's `supportedLoraParams`.")
    lora_alpha: int | None = optional("The adapter's scale, over its rank: 1 to 4,096.")
    lora_dropout: float | None = optional("The share of the adapter's inputs that is dropped: 0 to 0.99.")
    target_modules: list[str] | None = optional(
        "The modules that are tuned, of the base model's `supportedLoraParams`."
    )
    warmup_ratio: float | None = optional("The share of the steps in which the rate rises: 0 to 1.")
    weight_decay: float | None = optional("How fast unused weights shrink: 0 to 1.")


@strawberry.input(description="A new fine-tune.")
class CreateFinetuneInput:
    """A new fine-tune."""

    project_id: strawberry.ID = strawberry.field(description="The project that it is for; it must be ACTIVE.")
    base_model_name: str = strawberry.field(description="BaseModel.modelId.")
    training_dataset_id: strawberry.ID = strawberry.field(description="A dataset of the project's, DONE.")
    training_dataset_number_examples: int | None = optional(
        "How many items to train on; all of them where it is absent."
    )
    training_dataset_select_random: bool = strawberry.field(
        default=False, description="Draw them by lot instead of taking the first."
    )
    seed: int | None = optional(
        "What every random choice begins with, 0 to 2,147,483,647; 0 where it is absent."
    )
    method: FinetuneMethod | None = optional("LORA where it is absent.")
    hyperparameters: HyperparametersInput | None = optional("The knobs that are to differ from the defaults.")
    runner: Runner = strawberry.field(default=Runner.LOCAL, description="Who trains.")
    output_name: str | None = optional("A name for people; its model name where it is absent.")
    idempotency_key: str | None = optional(REPLAY)


@strawberry.type(description="The new fine-tune, and the job that trains it.")
class CreateFinetunePayload(Payload):
    """The new fine-tune and its job."""

    finetune: Finetune | None = outcome("The new fine-tune.")
    job: Job | None = outcome("The job that trains it: follow it with jobEvents.")


@strawberry.input(description="Which training to end.")
class CancelFinetuneInput:
    """Which training to end."""

    id: strawberry.ID = strawberry.field(description="The fine-tune's TypeID.")
    save_checkpoint: bool = strawberry.field(
        default=True, description="Whether the worker keeps a checkpoint, or ends at once and keeps nothing."
    )


@strawberry.type(description="A fine-tune.")
class FinetunePayload(Payload):
    """A fine-tune."""

    finetune: Finetune | None = outcome("The fine-tune as it is now.")


@strawberry.input(description="What to ask a fine-tune.")
class CompleteInput:
    """What to ask a fine-tune."""

    finetune_id: strawberry.ID = strawberry.field(
        description="The fine-tune that is to answer; it must have its model."
    )
    prompt: str = strawberry.field(description="What it is asked, as one message of the user's.")
    max_tokens: int | None = optional("The longest answer in tokens, 1 to 4,096; else 512.")
    temperature: float | None = optional("How freely it answers, 0 (always the likeliest) to 2.")


@strawberry.type(description="The answer and its tokens.")
class CompletePayload(Payload):
    """The answer and its tokens."""

    completion: str | None = outcome("Its answer.")
    prompt_tokens: int | None = outcome("Tokens of the prompt; null where they were not counted.")
    completion_tokens: int | None = outcome("Tokens of the answer; null where they were not counted.")


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
