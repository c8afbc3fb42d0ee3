"""An entry of a catalog file, and the base model that it describes."""

from dataclasses import fields
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from domain import base_models as domain
from domain.architectures import ARCHITECTURES
from domain.base_models import ModelSource, ModelType, id_of, validated_model_id
from domain.errors import DomainError
from domain.hyperparameters import Hyperparameters
from domain.ids import Noun, noun_of
from domain.model_catalog import UNVERIFIED, VIDEO, gated_warning
from domain.patches import camel_case

HYPERPARAMETERS = {camel_case(field.name): field.name for field in fields(Hyperparameters)}
Text = Annotated[str, Field(min_length=1, max_length=2000)]
Count = Annotated[int, Field(ge=1, lt=2**31)]


def _check_model_id(model_id: str) -> str:
    try:
        return validated_model_id(model_id)
    except DomainError as error:
        raise ValueError(error.message) from None


def _check_id(id: str) -> str:
    if noun_of(id) is not Noun.BASE_MODEL:
        raise ValueError("it is the TypeID of a base model, such as model_01kg000000e008000000000001")
    return id


def _snake_case(defaults: dict[str, Any]) -> dict[str, Any]:
    unknown = [name for name in defaults if name not in HYPERPARAMETERS]
    if unknown:
        raise ValueError(f"it has hyperparameters such as learningRate, not {unknown[0]}")
    return {HYPERPARAMETERS[name]: value for name, value in defaults.items()}


class Entry(BaseModel):
    """An entry as it is written: the names of the GraphQL type, and `requires` and `unverified`, which become warnings."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True, strict=True)

    model_id: Annotated[str, AfterValidator(_check_model_id)]
    id: Annotated[str, AfterValidator(_check_id)] | None = None
    name: Text
    description: Text | None = None
    architecture: Text
    base_architecture: Text | None = None
    model_type: Annotated[ModelType, Field(strict=False)] | None = None
    version: Text | None = None
    num_parameters: Annotated[int, Field(ge=1, lt=2**63)] | None = None
    vocab_size: Count | None = None
    max_position_embeddings: Count | None = None
    license: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.+-]*$")] | None = None
    min_rank: Annotated[int, Field(ge=1, le=4096)] = 1
    max_rank: Annotated[int, Field(ge=1, le=4096)] = 256
    default_alpha: Annotated[int, Field(ge=1, le=4096)] = 32
    target_modules: Annotated[tuple[Text, ...], Field(min_length=1, strict=False)] | None = None
    defaults: Annotated[dict[str, int | float | list[str]], AfterValidator(_snake_case)] = {}
    requires: list[Literal["HF_TOKEN"]] = []
    unverified: bool = False
    valid: bool = True
    warnings: list[Text] = []

    @model_validator(mode="after")
    def _check(self) -> "Entry":
        if self.architecture not in ARCHITECTURES and not (self.base_architecture and self.target_modules):
            raise ValueError(
                f"{self.architecture} is unknown here: give its baseArchitecture and targetModules"
            )
        if self.min_rank > self.max_rank:
            raise ValueError("minRank is above maxRank")
        if not self.valid and not self.warnings:
            raise ValueError("an entry that is not valid needs a warning that says why")
        try:
            self.record().hyperparameters({}, max_seq_length=min(2048, self.max_position_embeddings or 2048))
        except DomainError as error:
            raise ValueError(f"its defaults are out of range: {error.message}") from None
        except TypeError:
            raise ValueError("its defaults are numbers, and a list of targetModules") from None
        return self

    def record(self) -> domain.BaseModel:
        """The base model."""
        known = ARCHITECTURES.get(self.architecture)
        given = self.model_dump(
            exclude={
                "id",
                "base_architecture",
                "model_type",
                "target_modules",
                "requires",
                "unverified",
                "warnings",
            }
        )
        return domain.BaseModel(
            **given,
            id=self.id or id_of(self.model_id),
            source=ModelSource.CATALOG,
            base_architecture=self.base_architecture or (known.family if known else ""),
            model_type=self.model_type or (known.model_type if known else ModelType.TEXT_GENERATION),
            target_modules=self.target_modules or (known.target_modules if known else ()),
            warnings=tuple(self._warnings()),
        )

    def _warnings(self) -> list[str]:
        """The entry's own warnings first: the first one of an entry that is not valid says why."""
        known = ARCHITECTURES.get(self.architecture)
        model_type = self.model_type or (known.model_type if known else ModelType.TEXT_GENERATION)
        return [
            *self.warnings,
            *([VIDEO] if model_type is not ModelType.TEXT_GENERATION else ()),
            *([gated_warning(self.model_id)] if self.requires else ()),
            *([UNVERIFIED] if self.unverified else ()),
        ]
