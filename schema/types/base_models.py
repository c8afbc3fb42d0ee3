"""The base models of the GraphQL API."""

import strawberry

from domain import base_models as domain
from domain.base_models import ModelSource, ModelType
from domain.ids import Noun
from domain.pages import Page
from domain.reading import Collection
from schema.shared.connections import Connection, connect, connection
from schema.shared.context import Info
from schema.shared.enums import enumeration
from schema.shared.nodes import Id, Node, lookup, mirror, noun
from schema.shared.scalars import BigInt

enumeration(
    ModelSource,
    "Where a base model comes from.",
    CATALOG="The catalogue that every installation has.",
    HUGGING_FACE="A repository of the Hugging Face Hub, beyond the catalogue.",
    LOCAL="Made on the spot, without a download.",
)


enumeration(
    ModelType,
    "What a base model does.",
    TEXT_GENERATION="Goes on with a text.",
    VIDEO_CLASSIFICATION="Sorts videos into classes.",
    VIDEO_CAPTIONING="Describes videos in words.",
)


@strawberry.type(description="What a base model takes for LoRA.")
class SupportedLoraParams:
    """What a base model takes for LoRA."""

    min_rank: int = strawberry.field(description="The lowest rank.")
    max_rank: int = strawberry.field(description="The highest rank.")
    default_alpha: int = strawberry.field(description="The alpha where none is named.")
    target_modules: list[str] = strawberry.field(description="The modules that may be tuned.")


@noun
@strawberry.type(description="A model that may be fine-tuned; shared by all users.")
class BaseModel(Node):
    """A base model."""

    model_id: str = strawberry.field(description="Its name, as `baseModelName` takes it.")
    name: str = strawberry.field(description="Its name for people.")
    description: str | None = strawberry.field(description="What it is good for.")
    source: ModelSource = strawberry.field(description="Where it comes from.")
    model_type: ModelType = strawberry.field(description="What it does.")
    base_architecture: str = strawberry.field(description="Its family: llama, qwen2.")
    architecture: str | None = strawberry.field(description="Its class: LlamaForCausalLM.")
    version: str | None = strawberry.field(description="Its version.")
    num_parameters: BigInt | None = strawberry.field(description="How many weights it has.")
    vocab_size: int | None = strawberry.field(description="How many tokens it knows.")
    max_position_embeddings: int | None = strawberry.field(
        description="The longest text that it reads, in tokens."
    )
    license: str | None = strawberry.field(description="The licence of its weights, an SPDX identifier.")
    estimated_vram_fp16_gb: float | None = strawberry.field(
        description="Its weights alone at two bytes each, in GB of 10^9 bytes."
    )
    estimated_vram4bit_gb: float | None = strawberry.field(
        description="Its weights alone at about four bits each, in GB of 10^9 bytes."
    )
    valid: bool = strawberry.field(description="Whether it can be tuned here.")
    warnings: list[str] = strawberry.field(description="What to know before tuning it.")
    supported_lora_params: SupportedLoraParams = strawberry.field(description="What it takes for LoRA.")

    @classmethod
    def of(cls, it: domain.BaseModel) -> "BaseModel":
        """A base model as the API shows it."""
        return mirror(cls, it, supported_lora_params=mirror(SupportedLoraParams, it))


@strawberry.type
class BaseModelQueries:
    """The base models of the root query."""

    @strawberry.field(description="A base model.")
    def base_model(self, info: Info, id: Id) -> BaseModel | None:
        """By id."""
        return lookup(info, id, Noun.BASE_MODEL)

    @connection("The models that may be fine-tuned here, by name.")
    def base_models(
        self,
        info: Info,
        page: Page,
    ) -> Connection[BaseModel]:
        """A page of them."""
        return connect(info, Collection.BASE_MODELS, page)
