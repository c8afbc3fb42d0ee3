"""What a training run is given, measures and leaves."""

from datetime import datetime

import strawberry

from domain import finetunes as domain
from domain.finetunes import ArtifactKind, FinetuneMethod
from schema.shared.enums import enumeration
from schema.shared.nodes import mirror
from schema.shared.scalars import BigInt

enumeration(
    FinetuneMethod,
    "How the weights are tuned.",
    LORA="An adapter of low rank is trained; the base model's own weights stay.",
    QLORA="As LORA, with the base model held in four bits: less memory, on an NVIDIA GPU.",
    FULL="All weights are trained; an EXTERNAL worker alone can.",
)


enumeration(
    ArtifactKind,
    "What an artefact is for.",
    GGUF="The model in one file, as deployments load it.",
    ADAPTER="The LoRA adapter alone.",
    MERGED="The model's weights with the adapter merged into them.",
    CONFIG="What the run was told.",
    METRICS="What was measured in the run.",
    REPORT="An account of the run for people.",
    ARCHIVE="Several files in one.",
)


@strawberry.type(description="Every knob of a run, with nothing left to a library's default.")
class Hyperparameters:
    """Every knob of a run."""

    num_epochs: float = strawberry.field(description="How often all items are seen.")
    learning_rate: float = strawberry.field(description="The highest learning rate.")
    per_device_batch_size: int = strawberry.field(description="Items a step and device.")
    gradient_accumulation_steps: int = strawberry.field(description="Batches before the weights move.")
    max_seq_length: int = strawberry.field(description="Tokens of an item that are read; the rest is cut.")
    lora_r: int = strawberry.field(description="The rank of the adapter.")
    lora_alpha: int = strawberry.field(description="The adapter's scale, over its rank.")
    lora_dropout: float = strawberry.field(description="The share of the adapter's inputs that is dropped.")
    target_modules: list[str] = strawberry.field(description="The modules that are tuned.")
    warmup_ratio: float = strawberry.field(description="The share of the steps in which the rate rises.")
    weight_decay: float = strawberry.field(description="How fast unused weights shrink.")


@strawberry.type(description="The newest point of a run, and how far that is.")
class TrainingMetrics:
    """The newest point of a run."""

    step: int = strawberry.field(description="The optimiser step.")
    total_steps: int = strawberry.field(description="How many steps there will be.")
    epoch: float = strawberry.field(description="How often all items were seen.")
    train_loss: float | None = strawberry.field(description="The newest training loss.")
    eval_loss: float | None = strawberry.field(description="The newest loss over the held-out items.")
    learning_rate: float | None = strawberry.field(description="The learning rate of the step.")
    tokens_per_second: float | None = strawberry.field(description="How fast it learns.")
    accuracy: float | None = strawberry.field(description="As an external worker reported it.")
    f1_score: float | None = strawberry.field(description="As an external worker reported it.")


@strawberry.type(description="One prompt, answered greedily by the base model and by the tuned one.")
class InferenceSample:
    """One prompt, answered by both models."""

    prompt: str = strawberry.field(description="What was asked.")
    expected: str | None = strawberry.field(description="What the item answers.")
    base_output: str | None = strawberry.field(description="What the base model answered.")
    tuned_output: str = strawberry.field(description="What the tuned model answered.")


@strawberry.type(
    description="Whether the exported GGUF answers as the trained model did: chat template, token ids, greedy output."
)
class ParityReport:
    """Whether the exported GGUF answers as the trained model did."""

    passed: bool = strawberry.field(description="Whether all of it agrees.")
    prompts_compared: int = strawberry.field(description="How many prompts were compared.")
    template_matches: bool = strawberry.field(description="Whether the prompts were rendered alike.")
    token_ids_match: bool = strawberry.field(description="Whether they became the same tokens.")
    outputs_matching: int = strawberry.field(description="How many answers were the same.")
    detail: str | None = strawberry.field(description="What differs.")


@strawberry.type(description="A file that a run left in storage.")
class Artifact:
    """A file that a run left in storage."""

    filename: str = strawberry.field(description="Its name.")
    kind: ArtifactKind = strawberry.field(description="What it is for.")
    quantization: str | None = strawberry.field(description="How its weights are kept.")
    size_bytes: BigInt = strawberry.field(description="Its size.")
    sha256: str = strawberry.field(description="The SHA-256 of its bytes, in hex.")
    download_url: str = strawberry.field(description="The path of its download (REST).")


def path_of(it: domain.Finetune) -> str:
    """Where REST has a fine-tune."""
    return f"/api/projects/{it.project_id}/finetunes/{it.id}"


def artifacts_of(it: domain.Finetune) -> list[Artifact]:
    """A fine-tune's files, by name."""
    base = f"{path_of(it)}/artifacts"
    found = sorted(it.artifacts, key=lambda artifact: artifact.filename)
    return [mirror(Artifact, each, download_url=f"{base}/{each.filename}") for each in found]


@strawberry.type(description="One point of a training curve. Losses are mean cross-entropy in nats a token.")
class TrainingPoint:
    """One point of a training curve."""

    step: int = strawberry.field(description="The optimiser step.")
    epoch: float = strawberry.field(description="How often all items were seen.")
    train_loss: float | None = strawberry.field(description="The loss of the step's batch.")
    eval_loss: float | None = strawberry.field(description="The loss over the held-out items.")
    perplexity: float | None = strawberry.field(description="e to the evaluation loss.")
    learning_rate: float | None = strawberry.field(description="The learning rate of the step.")
    at: datetime = strawberry.field(description="When it was measured.")
