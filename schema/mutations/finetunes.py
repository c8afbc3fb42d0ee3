"""Creating, cancelling, deleting and prompting fine-tunes."""

import strawberry

from domain.finetunes import NewFinetune
from domain.hyperparameters import FinetuneMethod, TrainingObjective
from domain.jobs import Runner
from domain.ports.completions import CompletionRequest
from resolvers import finetunes as resolve
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
from schema.types.finetunes import Finetune
from schema.types.jobs import Job


@strawberry.input(
    description="Hyperparameters of a fine-tune. When one is absent or null, the base "
    "model's own default applies, otherwise the default named here."
)
class HyperparametersInput:
    num_epochs: float | None = optional(
        "Number of epochs (passes over the training items): above 0, "
        "at most 1,000; may be fractional. Default 3."
    )
    learning_rate: float | None = optional(
        "Peak learning rate: above 0, at most 1; it falls linearly to 0 after the warmup. Default 2e-4; for "
        "`DPO`, a tenth of the default for `SFT`."
    )
    per_device_batch_size: int | None = optional("Batch size per device in items, 1 to 1,024. Default 4.")
    gradient_accumulation_steps: int | None = optional(
        "Gradient accumulation steps: number of batches per optimizer step, 1 to 1,024. Default 4."
    )
    max_seq_length: int | None = optional(
        "Maximum sequence length in tokens, 16 to the base model's context length; longer items are "
        "truncated, and longer preference pairs left out. Default: the project's `maxSeqLength`, within the context length."
    )
    lora_r: int | None = optional(
        "LoRA rank r: inner dimension of the adapter matrices, within `supportedLoraParams`. Default 16."
    )
    lora_alpha: int | None = optional(
        "LoRA alpha, 1 to 4,096: the output of the adapter is scaled by "
        "alpha / r. Default: the base model's `defaultAlpha`."
    )
    lora_dropout: float | None = optional(
        "LoRA dropout: probability that an input of the adapter is "
        "set to 0 in training, 0 to 0.99. Default 0.05."
    )
    target_modules: list[str] | None = optional(
        "LoRA target modules: at least one of the `targetModules` in the base "
        "model's `supportedLoraParams`. Default: all of them."
    )
    warmup_ratio: float | None = optional(
        "Warmup ratio, 0 to 1: fraction of the optimizer steps in which the learning rate "
        "rises linearly to its peak. Default 0.03."
    )
    weight_decay: float | None = optional(
        "Decoupled weight decay of AdamW, applied to all trained weights, 0 to 1. Default 0.01."
    )
    beta: float | None = optional(
        "Beta of DPO: above 0, at most 2; the higher, the closer the model stays to the base model. Default 0.1. "
        "Only with the objective `DPO`."
    )


@strawberry.input(description="The fine-tune to create.")
class CreateFinetuneInput:
    project_id: strawberry.ID = strawberry.field(description="Project of the fine-tune; must be `ACTIVE`.")
    base_model_name: str = strawberry.field(description="`modelId` of the base model.")
    training_dataset_id: strawberry.ID = strawberry.field(
        description="Dataset of the project to train on; must be `DONE`."
    )
    training_dataset_number_examples: int | None = optional(
        "Maximum number of training items, 1 to 100,000,000; all valid ones "
        "when absent or null. Held-out items are not limited."
    )
    training_dataset_select_random: bool = strawberry.field(
        default=False,
        description="Whether the training items are sampled at random; otherwise the first ones "
        "are taken. Matters only with `trainingDatasetNumberExamples`.",
    )
    seed: int | None = optional("Random seed, 0 to 2,147,483,647; 0 when absent or null.")
    objective: TrainingObjective = strawberry.field(
        default=TrainingObjective.SFT,
        description="Training objective: `DPO` needs a dataset of preference pairs, `SFT` one of another format.",
    )
    method: FinetuneMethod | None = optional(
        "Fine-tuning method; `LORA` when absent or null. `FULL` only with `SFT`."
    )
    hyperparameters: HyperparametersInput | None = optional("Hyperparameters that differ from the defaults.")
    runner: Runner = strawberry.field(default=Runner.LOCAL, description="Where the training runs.")
    output_name: str | None = optional(
        "Display name, at most 200 characters; the model name when absent or null."
    )
    idempotency_key: str | None = optional(IDEMPOTENCY_KEY)


@strawberry.type(description="Result of `createFinetune`.")
class CreateFinetunePayload(Payload):
    finetune: Finetune | None = payload_field("The new fine-tune, `PLANNING` at first.")
    job: Job | None = payload_field("The job that runs the training, which `jobEvents` follows.")


@strawberry.input(description="The fine-tune to cancel.")
class CancelFinetuneInput:
    id: strawberry.ID = strawberry.field(description="TypeID of the fine-tune.")
    save_checkpoint: bool = strawberry.field(
        default=True,
        description="Whether a local worker saves a checkpoint before it stops; "
        "otherwise it stops at once and deletes the files of the run.",
    )


@strawberry.type(description="Result of `cancelFinetune`.")
class FinetunePayload(Payload):
    finetune: Finetune | None = payload_field("The cancelled fine-tune, `ABORTED`.")


@strawberry.input(description="A prompt for a fine-tune.")
class CompleteInput:
    finetune_id: strawberry.ID = strawberry.field(
        description="Fine-tune that answers; its model must have been exported."
    )
    prompt: str = strawberry.field(description="Prompt, sent as one user message; at most 65,536 characters.")
    max_tokens: int | None = optional(
        "Maximum number of completion tokens, 1 to 4,096; 512 when absent or null."
    )
    temperature: float | None = optional(
        "Sampling temperature, 0 to 2, where 0 is greedy decoding; "
        "the model server's default when absent or null."
    )


@strawberry.type(description="Result of `complete`.")
class CompletePayload(Payload):
    completion: str | None = payload_field("Text of the completion.")
    prompt_tokens: int | None = payload_field(
        "Number of prompt tokens; null when the model server reported none."
    )
    completion_tokens: int | None = payload_field(
        "Number of completion tokens; null when the model server reported none."
    )


def _new(input: CreateFinetuneInput) -> NewFinetune:
    """The fine-tune to create; null means the same as absent."""
    values = {
        name: value for name, value in given_fields(input, "idempotency_key").items() if value is not None
    }
    if "hyperparameters" in values:
        values["hyperparameters"] = given_fields(values["hyperparameters"])
    return NewFinetune(**values)


@strawberry.type
class FinetuneMutations:
    @mutation
    async def create_finetune(self, info: Info, input: CreateFinetuneInput) -> CreateFinetunePayload:
        """Freezes the valid items of a dataset and queues a training on them; a project can train one fine-tune at a time."""
        finetune, job = await resolve.create(info.context, _new(input), or_none(input.idempotency_key))
        return CreateFinetunePayload(finetune=Finetune.from_domain(finetune), job=Job.from_domain(job))

    @mutation
    async def cancel_finetune(self, info: Info, input: CancelFinetuneInput) -> FinetunePayload:
        """Cancels a fine-tune whose training is queued or running."""
        ended = await resolve.cancel(info.context, input.id, save_checkpoint=input.save_checkpoint)
        return FinetunePayload(finetune=Finetune.from_domain(ended))

    @mutation
    async def delete_finetune(self, info: Info, input: DeleteInput) -> DeletePayload:
        """Deletes a fine-tune with its files; refused while its training is queued or running, and while it is deployed."""
        return DeletePayload(deleted_id=strawberry.ID(await resolve.delete(info.context, input.id)))

    @mutation
    async def complete(self, info: Info, input: CompleteInput) -> CompletePayload:
        """Generates one completion with a fine-tune, without a deployment; its model is loaded when necessary."""
        given = given_fields(input, "finetune_id")
        request = CompletionRequest(**{name: value for name, value in given.items() if value is not None})
        completion = await resolve.complete(info.context, input.finetune_id, request)
        return CompletePayload(
            completion=completion.text,
            prompt_tokens=completion.prompt_tokens,
            completion_tokens=completion.completion_tokens,
        )
