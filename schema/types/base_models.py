"""The base models of the GraphQL API."""

from typing import Annotated

import strawberry

from domain import base_models as domain
from domain.base_models import ModelSource, ModelType
from domain.ids import Noun
from domain.pages import PageRequest
from domain.reading import Collection
from schema.shared.connections import Connection, connection, load_connection
from schema.shared.context import Info
from schema.shared.enums import register_enum
from schema.shared.inputs import given_fields
from schema.shared.nodes import Id, Node, convert, converted_from, load_node, node
from schema.shared.scalars import BigInt

register_enum(
    ModelSource,
    "Origin of a base model's weights.",
    CATALOG="The installation's catalog: open weights from the Hugging Face Hub, downloaded when first needed.",
    HUGGING_FACE="A Hugging Face Hub repository outside the catalog, added by `resolveModel`.",
    LOCAL="Weights of the installation itself, without a download: those that its operator added, and those of "
    "`luthier/tiny`, which are random.",
)


register_enum(
    ModelType,
    "Task of a base model.",
    TEXT_GENERATION="Causal language model for text generation.",
    VIDEO_CLASSIFICATION="Video classification; trained by external workers only.",
    VIDEO_CAPTIONING="Video captioning; trained by external workers only.",
)


@strawberry.input(
    description="Conditions on base models: all that are given must hold, null is no condition."
)
class BaseModelFilter:
    model_type: ModelType | None = strawberry.field(
        default=None, description="Only base models for this task."
    )
    source: ModelSource | None = strawberry.field(
        default=None, description="Only base models of this origin."
    )
    max_vram_gb: float | None = strawberry.field(
        default=None,
        description="Only base models whose `estimatedVram4bitGb` is at most this; "
        "those without an estimate are left out.",
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
        description="License of the weights by its identifier on the Hugging Face Hub, such as `apache-2.0` or "
        "`llama3.2`; null when unknown."
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
        description="Whether the model can be fine-tuned; where it cannot, the first of `warnings` says why."
    )
    warnings: list[str] = strawberry.field(
        description="Known limitations of the model, what it needs, and whether its facts were read from its files, "
        "one sentence each."
    )
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

    @connection(
        "The base models that can be fine-tuned here, of the catalog and of all users, ordered by `name`."
    )
    def base_models(
        self,
        info: Info,
        page: PageRequest,
        filter: Annotated[
            BaseModelFilter | None,
            strawberry.argument(description="Conditions on the base models; none when absent or null."),
        ] = None,
    ) -> Connection[BaseModel]:
        where = domain.BaseModelFilter(**given_fields(filter)) if filter else None
        return load_connection(info, Collection.BASE_MODELS, page, where=where)
