"""The base models of the GraphQL API."""

import strawberry

from domain import base_models as domain
from domain.base_models import ModelSource, ModelType
from domain.ids import Noun
from domain.pages import PageRequest
from domain.reading import Collection
from schema.shared.connections import Connection, connection, load_connection
from schema.shared.context import Info
from schema.shared.enums import register_enum
from schema.shared.nodes import Id, Node, convert, converted_from, load_node, node
from schema.shared.scalars import BigInt

register_enum(
    ModelSource,
    "Origin of a base model's weights.",
    CATALOG="Built-in catalog: open weights from the Hugging Face Hub, downloaded when first needed.",
    HUGGING_FACE="A Hugging Face Hub repository outside the catalog; not offered yet.",
    LOCAL="Random weights generated on the worker from a fixed seed, without a download.",
)


register_enum(
    ModelType,
    "Task of a base model.",
    TEXT_GENERATION="Causal language model for text generation.",
    VIDEO_CLASSIFICATION="Video classification; no such base model is offered yet.",
    VIDEO_CAPTIONING="Video captioning; no such base model is offered yet.",
)


@converted_from(domain.BaseModel)
@strawberry.type(description="LoRA hyperparameters that a base model accepts.")
class SupportedLoraParams:
    min_rank: int = strawberry.field(description="Minimum LoRA rank r.")
    max_rank: int = strawberry.field(description="Maximum LoRA rank r.")
    default_alpha: int = strawberry.field(description="LoRA alpha that is used when none is given.")
    target_modules: list[str] = strawberry.field(
        description="Names of the linear layers that can get a LoRA adapter; all "
        "of them do when `targetModules` is not given."
    )


@node(Noun.BASE_MODEL, domain.BaseModel, "supported_lora_params")
@strawberry.type(description="An open-weights model to fine-tune; shared by all users.")
class BaseModel(Node):
    model_id: str = strawberry.field(
        description="Name of the model, such as `Qwen/Qwen2.5-0.5B-Instruct`; the value for `baseModelName`."
    )
    name: str = strawberry.field(description="Display name.")
    description: str | None = strawberry.field(
        description="Short description of the model; null when there is none."
    )
    source: ModelSource = strawberry.field(description="Origin of the weights.")
    model_type: ModelType = strawberry.field(description="Task of the model.")
    base_architecture: str = strawberry.field(description="Architecture family, such as `llama` or `qwen2`.")
    architecture: str | None = strawberry.field(
        description="Model class in Transformers, such as `LlamaForCausalLM`; null when unknown."
    )
    version: str | None = strawberry.field(description="Version of the model; null when unknown.")
    num_parameters: BigInt | None = strawberry.field(description="Number of parameters; null when unknown.")
    vocab_size: int | None = strawberry.field(description="Vocabulary size in tokens; null when unknown.")
    max_position_embeddings: int | None = strawberry.field(
        description="Context length in tokens, which limits `maxSeqLength`; null when unknown."
    )
    license: str | None = strawberry.field(
        description="License of the weights as an SPDX identifier, such as `apache-2.0`; null when unknown."
    )
    estimated_vram_fp16_gb: float | None = strawberry.field(
        description="VRAM for the weights alone at 16 bits per parameter, in GB "
        "(10^9 bytes); training also needs activations, gradients and "
        "optimizer states. Null when `numParameters` is."
    )
    estimated_vram4bit_gb: float | None = strawberry.field(
        description="VRAM for the weights alone in 4-bit NF4 with double quantization (4.127 bits "
        "per parameter), in GB (10^9 bytes). Null when `numParameters` is."
    )
    valid: bool = strawberry.field(
        description="Whether the model is marked as fit for fine-tuning; true for every model of the catalog."
    )
    warnings: list[str] = strawberry.field(description="Known limitations of the model, one sentence each.")
    supported_lora_params: SupportedLoraParams = strawberry.field(
        description="LoRA hyperparameters that the model accepts."
    )

    @classmethod
    def from_domain(cls, record: domain.BaseModel) -> "BaseModel":
        return convert(cls, record, supported_lora_params=convert(SupportedLoraParams, record))


@strawberry.type
class BaseModelQueries:
    @strawberry.field(description="A base model by its id.")
    def base_model(self, info: Info, id: Id) -> BaseModel | None:
        return load_node(info, id, Noun.BASE_MODEL)

    @connection("The base models that can be fine-tuned, ordered by `name`.")
    def base_models(
        self,
        info: Info,
        page: PageRequest,
    ) -> Connection[BaseModel]:
        return load_connection(info, Collection.BASE_MODELS, page)
