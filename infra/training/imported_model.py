"""What an import of a base model says of it, and why one is refused."""

from dataclasses import dataclass

from pydantic import TypeAdapter

from domain.ports.model_importer import ImportedModel


class ImportRefused(Exception):
    """The model cannot become a base model; the message is one sentence for the user."""


@dataclass(frozen=True, slots=True)
class ImportOutcome:
    """The last line that the import's process prints: the model, or the sentence that says why there is none."""

    model: ImportedModel | None = None
    refused: str | None = None


OUTCOME = TypeAdapter(ImportOutcome)
