"""Hyperparameters, metrics and artifacts of fine-tunes."""

import strawberry

from domain import finetunes as domain
from domain.artifacts import Artifact as ArtifactRecord
from domain.artifacts import ArtifactKind
from domain.hyperparameters import FinetuneMethod, TrainingObjective
from domain.hyperparameters import Hyperparameters as HyperparametersRecord
from schema.shared.enums import register_enum
from schema.shared.nodes import convert, converted_from
from schema.shared.scalars import BigInt

register_enum(
    FinetuneMethod,
    "Fine-tuning method.",
    LORA="Low-rank adaptation: adapter matrices are trained, the weights of the base model stay frozen.",
    QLORA="LoRA on a base model that is quantized to 4 bits (NF4) in "
    "training: less VRAM; needs an NVIDIA GPU and bitsandbytes.",
    FULL="Full fine-tuning of all weights; only with an `EXTERNAL` runner.",
)


register_enum(
    TrainingObjective,
    "Training objective.",
    SFT="Supervised fine-tuning: the model learns the answers of the items.",
    DPO="Direct preference optimization: of each pair, the model learns to prefer the better answer to the worse one. "
    "The reference is the model without its adapter.",
)


register_enum(
    ArtifactKind,
    "Kind of an artifact.",
    GGUF="Merged and quantized model in one GGUF file, which deployments load.",
    ADAPTER="LoRA adapter in PEFT format: weights, configuration, tokenizer or chat template.",
    BASE_MODEL="Weights or configuration of the base model, which the archive has in its folder "
    "`base`; only for `luthier/tiny`, which no hub has.",
    MERGED="Weights of the base model with the adapter merged; only from an external worker.",
    CONFIG="Configuration of the run as JSON: hyperparameters, seed, "
    "item ids, chat template and package versions.",
    METRICS="Training curve and parity report as JSON.",
    REPORT="Report on the run, or the model card, as Markdown.",
    ARCHIVE="Archive of several files; only from an external worker.",
)


@converted_from(HyperparametersRecord)
@strawberry.type(
    description="Hyperparameters of a fine-tune. A local worker trains with AdamW, and "
    "computes the loss on the output of an item, or on the two answers of a preference pair, not on the prompt. Ranges and defaults: `HyperparametersInput`."
)
class Hyperparameters:
    num_epochs: float = strawberry.field(
        description="Number of epochs (passes over the training items); may be fractional."
    )
    learning_rate: float = strawberry.field(
        description="Peak learning rate, from which it falls linearly to 0 after the warmup."
    )
    per_device_batch_size: int = strawberry.field(description="Batch size per device, in items.")
    gradient_accumulation_steps: int = strawberry.field(
        description="Gradient accumulation steps: number of batches per optimizer step."
    )
    max_seq_length: int = strawberry.field(
        description="Maximum sequence length in tokens: longer items are "
        "truncated, and left out when the prompt alone fills it. Preference pairs are never truncated, but left out."
    )
    lora_r: int = strawberry.field(description="LoRA rank r: inner dimension of the adapter matrices.")
    lora_alpha: int = strawberry.field(
        description="LoRA alpha: the output of the adapter is scaled by alpha / r."
    )
    lora_dropout: float = strawberry.field(
        description="LoRA dropout: probability that an input of the adapter is set to 0 in training."
    )
    target_modules: list[str] = strawberry.field(
        description="LoRA target modules: names of the linear layers that get an adapter."
    )
    warmup_ratio: float = strawberry.field(
        description="Warmup ratio: fraction of the optimizer steps in which the learning rate "
        "rises linearly to its peak."
    )
    weight_decay: float = strawberry.field(
        description="Decoupled weight decay of AdamW, applied to all trained weights."
    )
    beta: float | None = strawberry.field(
        description="Beta of DPO: the higher, the closer the model stays to the base model; null for `SFT`."
    )


@converted_from(domain.TrainingMetrics)
@strawberry.type(
    description="Latest metrics of a training run. What the latest "
    "point did not measure keeps its last value."
)
class TrainingMetrics:
    step: int = strawberry.field(description="Number of completed optimizer steps.")
    total_steps: int = strawberry.field(description="Number of optimizer steps of the whole run.")
    epoch: float = strawberry.field(description="Number of completed epochs; may be fractional.")
    train_loss: float | None = strawberry.field(
        description="Training loss on the batch of an optimizer step: mean "
        "cross-entropy in nats per token, or the loss of `DPO`; null before the first."
    )
    eval_loss: float | None = strawberry.field(
        description="Evaluation loss on the held-out items: mean cross-entropy in nats per "
        "token, or the loss of `DPO`; null before the first and without held-out items."
    )
    learning_rate: float | None = strawberry.field(
        description="Learning rate of the optimizer step; null until it is reported."
    )
    tokens_per_second: float | None = strawberry.field(
        description="Training throughput in tokens per second, prompts "
        "included, padding not; null until it is measured."
    )
    accuracy: float | None = strawberry.field(
        description="Accuracy as a fraction from 0 to 1; not measured yet, always null."
    )
    f1_score: float | None = strawberry.field(
        description="F1 score from 0 to 1; not measured yet, always null."
    )


@converted_from(domain.InferenceSample)
@strawberry.type(
    description="A prompt answered by the base model and by the fine-tuned "
    "model; a local worker uses greedy decoding."
)
class InferenceSample:
    prompt: str = strawberry.field(description="Input of the item, sent as a user message.")
    expected: str | None = strawberry.field(
        description="Output of the item, or its preferred answer, for reference; null when the external worker "
        "reported none."
    )
    base_output: str | None = strawberry.field(
        description="Output of the base model; null when the external worker reported none."
    )
    tuned_output: str = strawberry.field(description="Output of the fine-tuned model.")


@converted_from(domain.ParityReport)
@strawberry.type(
    description="Comparison of the exported GGUF in llama.cpp with the fine-tuned model on up to 16 "
    "training prompts: rendered chat template, token ids and greedy decoding."
)
class ParityReport:
    passed: bool = strawberry.field(
        description="Whether chat template and token ids match for all prompts, "
        "and the outputs for at least 90% of them."
    )
    prompts_compared: int = strawberry.field(description="Number of prompts that were compared.")
    template_matches: bool = strawberry.field(
        description="Whether both render every prompt to the same text with the chat template."
    )
    token_ids_match: bool = strawberry.field(
        description="Whether both tokenize every prompt to the same token ids."
    )
    outputs_matching: int = strawberry.field(
        description="Number of prompts with the same greedy output of up to 32 tokens."
    )
    detail: str | None = strawberry.field(
        description="Numbers and first cases of the differences, or why the GGUF "
        "could not be loaded; null when everything matches."
    )


@converted_from(ArtifactRecord, "download_url")
@strawberry.type(description="A file that a fine-tune produced, in object storage.")
class Artifact:
    filename: str = strawberry.field(description="File name without a path.")
    kind: ArtifactKind = strawberry.field(description="Kind of the artifact.")
    quantization: str | None = strawberry.field(
        description="Quantization of a GGUF file, such as `q8_0`; null for other files and when unknown."
    )
    size_bytes: BigInt = strawberry.field(description="Size in bytes.")
    sha256: str = strawberry.field(description="SHA-256 of the content in hex.")
    download_url: str = strawberry.field(description="REST path of the download.")


def path_of(finetune: domain.Finetune) -> str:
    """The REST path of a fine-tune."""
    return f"/api/projects/{finetune.project_id}/finetunes/{finetune.id}"


def artifacts_of(finetune: domain.Finetune) -> list[Artifact]:
    """A fine-tune's artifacts, ordered by file name."""
    base = f"{path_of(finetune)}/artifacts"
    artifacts = sorted(finetune.artifacts, key=lambda artifact: artifact.filename)
    return [convert(Artifact, artifact, download_url=f"{base}/{artifact.filename}") for artifact in artifacts]
