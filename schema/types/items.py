"""The dataset items of the GraphQL API."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from domain import items as domain
from domain.ids import Noun
from domain.items import ItemOrigin, ProblemCode, Split
from resolvers import datasets as datasets_resolve
from schema.shared.context import Info
from schema.shared.enums import enumeration
from schema.shared.inputs import given
from schema.shared.nodes import OF, Node, load, lookup, mirror, noun
from schema.shared.scalars import JSON

if TYPE_CHECKING:
    from schema.types.datasets import Dataset
    from schema.types.documents import Document


enumeration(
    Split,
    "What an item is used for.",
    PREVIEW="A sample of a generation, neither trained on nor held out.",
    TRAIN="Trained on.",
    EVAL="Held out, to measure the model on what it has not seen.",
)


enumeration(
    ItemOrigin,
    "Who made an item.",
    GENERATED="A model wrote it.",
    UPLOADED="It is a row of an upload.",
    CORRECTED="A person wrote it, to correct another item.",
)


enumeration(
    ProblemCode,
    "What is wrong with an item.",
    JSON_INVALID="Its line is not a JSON object, or has more values than the header has fields.",
    FIELD_MISSING="Its input or output is empty, or its row has too few values.",
    OUTPUT_TOO_SHORT="Its output has less than a quarter of the expected characters.",
    OUTPUT_TOO_LONG="Its output has more than four times the expected characters.",
    DUPLICATE="An earlier item has the same input and output.",
    NEAR_DUPLICATE="Another item is nearly the same; not looked for yet.",
    TOO_MANY_TOKENS="It has more tokens than the project allowed when the dataset was made.",
    NOT_GROUNDED="Its source does not say so; not looked for yet.",
    LANGUAGE_MISMATCH="It is not in the dataset's language; not looked for yet.",
    PII="It holds personal data; not looked for yet.",
)


@strawberry.type(description="One thing that is wrong with an item.")
class ItemProblem:
    """One thing that is wrong with an item."""

    code: ProblemCode = strawberry.field(description="What is wrong.")
    message: str = strawberry.field(description="One sentence for a person, with the line of the upload.")


@strawberry.type(description="Where an item came from.")
class ItemSource:
    """Where an item came from."""

    it: strawberry.Private[domain.Source]
    source_document: str | None = strawberry.field(description="The file's name, also once it is deleted.")
    start: int | None = strawberry.field(description="Where it begins in the document; null for tables.")
    end: int | None = strawberry.field(description="Where it ends in the document; null for tables.")

    @strawberry.field(description="The upload, while it is there.")
    def document(self, info: Info) -> Annotated["Document", strawberry.lazy("schema.types.documents")] | None:
        """Loaded with the others."""
        return lookup(info, self.it.document_id, Noun.DOCUMENT)


@noun
@strawberry.type(description="An item; it is active when it is not deleted and no other item corrects it.")
class DatasetItem(Node):
    """An item."""

    it: strawberry.Private[domain.Item]
    values: list[str] = strawberry.field(description="Its texts, in the order of the dataset's field names.")
    deleted: bool = strawberry.field(description="Whether it was deleted.")
    split: Split = strawberry.field(description="What it is used for.")
    is_valid: bool = strawberry.field(description="Whether nothing is wrong with it.")
    problems: list[ItemProblem] = strawberry.field(description="What is wrong with it.")
    token_count: int = strawberry.field(description="Tokens of its input and output, about.")
    origin: ItemOrigin = strawberry.field(description="Who made it.")
    source: ItemSource | None = strawberry.field(description="Where it came from.")
    generate_model: str | None = strawberry.field(description="The model that generated it.")
    generation_time_seconds: float | None = strawberry.field(description="How long that took.")
    created_at: datetime = strawberry.field(description="When it was made.")

    @classmethod
    def of(cls, it: domain.Item) -> "DatasetItem":
        """An item as the API shows it."""
        source = it.source and mirror(ItemSource, it.source, it=it.source)
        problems = [mirror(ItemProblem, problem) for problem in it.all_problems]
        return mirror(cls, it, it=it, source=source, problems=problems)

    @strawberry.field(description="The dataset that it belongs to.")
    def dataset(self, info: Info) -> Annotated["Dataset", strawberry.lazy("schema.types.datasets")]:
        """Loaded with the others, the deleted ones too."""
        return load(info, datasets_resolve.referred, self.it.dataset_id).then(OF[Noun.DATASET])

    @strawberry.field(description="Its texts by field name.")
    def data(self, info: Info) -> JSON:
        """Named as its dataset names them."""
        found = load(info, datasets_resolve.referred, self.it.dataset_id)
        return found.then(lambda dataset: dict(zip(dataset.field_names, self.it.values, strict=True)))

    @strawberry.field(description="The item that it corrects.")
    def corrects(self, info: Info) -> "DatasetItem | None":
        """Loaded with the others."""
        return lookup(info, self.it.corrects_id, Noun.ITEM)

    @strawberry.field(description="The item that corrects it.")
    def corrected_by(self, info: Info) -> "DatasetItem | None":
        """Loaded with the others."""
        return lookup(info, self.it.corrected_by_id, Noun.ITEM)


@strawberry.type(description="The valid items of one split.")
class SplitStats:
    """The valid items of one split."""

    split: Split = strawberry.field(description="The split.")
    count: int = strawberry.field(description="How many items.")
    avg_tokens: float = strawberry.field(description="Their mean length in tokens, about.")
    min_tokens: int = strawberry.field(description="The shortest, in tokens.")
    max_tokens: int = strawberry.field(description="The longest, in tokens.")


@strawberry.type(description="How many active items have a problem.")
class ProblemCount:
    """How many active items have a problem."""

    code: ProblemCode = strawberry.field(description="The problem.")
    count: int = strawberry.field(description="How many items have it.")


@strawberry.type(
    description="Over items that are neither deleted nor corrected: total = valid + invalid, active = total; "
    "bySplit counts the valid ones and names no empty split."
)
class DatasetStats:
    """Counts over a dataset's items."""

    total: int = strawberry.field(description="Active items.")
    valid: int = strawberry.field(description="Those with nothing wrong.")
    invalid: int = strawberry.field(description="Those with a problem.")
    active: int = strawberry.field(description="The same as the total.")
    deleted: int = strawberry.field(description="Deleted items.")
    corrected: int = strawberry.field(description="Items that another one corrects.")
    avg_token_count: float | None = strawberry.field(
        description="The mean length in tokens; null without items."
    )
    by_split: list[SplitStats] = strawberry.field(description="The valid items by split.")
    problems: list[ProblemCount] = strawberry.field(description="The problems that there are.")

    @classmethod
    def of(cls, it: domain.DatasetStats) -> "DatasetStats":
        """Counts as the API shows them."""
        by_split = [mirror(SplitStats, part) for part in it.by_split]
        problems = [ProblemCount(code=code, count=count) for code, count in it.problems]
        return mirror(cls, it, by_split=by_split, problems=problems)


@strawberry.input(description="Which items a list shows; every condition that is given must hold.")
class ItemFilter:
    """Which items a list shows."""

    split: Split | None = strawberry.field(default=None, description="Only those of this split.")
    is_valid: bool | None = strawberry.field(
        default=None, description="Only valid ones, or only invalid ones."
    )
    deleted: bool | None = strawberry.field(
        default=None, description="Only deleted ones, or only the others."
    )
    active: bool | None = strawberry.field(default=None, description="Only active ones, or only the others.")
    problem: ProblemCode | None = strawberry.field(default=None, description="Only those with this problem.")
    search: str | None = strawberry.field(
        default=None, description="Only those with this text in a value, whatever its case."
    )


def condition(filter: ItemFilter | None) -> domain.ItemFilter | None:
    """A filter as the domain has it; raises `Invalid` when its text cannot be looked for."""
    return domain.ItemFilter(**given(filter)).checked() if filter else None
