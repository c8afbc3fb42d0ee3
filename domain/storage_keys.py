"""The keys of objects in the bucket, which no other module spells, and a folder in the archive of a fine-tune."""

from domain.rules import safe_name

BASE_MODEL_FOLDER = "base"
"""The folder in the archive of a fine-tune that has the base model; the adapter's configuration refers to it."""


def document_prefix(document_id: str) -> str:
    """The prefix of a document, whose bytes are the only object under it."""
    return f"documents/{document_id}/"


def document_key(document_id: str, filename: str) -> str:
    """The key of a document's bytes."""
    return document_prefix(document_id) + safe_name(filename)


def dataset_prefix(owner_id: str, dataset_id: str) -> str:
    """The prefix of the results that external workers write for a dataset."""
    return f"datasets/{owner_id}/{dataset_id}/"


def finetune_prefix(finetune_id: str) -> str:
    """The prefix of a fine-tune's artifacts."""
    return f"finetunes/{finetune_id}/"


def artifact_key(finetune_id: str, filename: str) -> str:
    """The key of a fine-tune's artifact."""
    return finetune_prefix(finetune_id) + filename


def gguf_filename(model_name: str) -> str:
    """The file name of a fine-tune's model; an external worker may choose another one."""
    return f"{safe_name(model_name)}.gguf"


BASE_MODELS_PREFIX = "models/"
"""The prefix of the files of all base models."""


def base_model_prefix(base_model_id: str) -> str:
    """The prefix of the files of a base model."""
    return f"{BASE_MODELS_PREFIX}{base_model_id}/"


def base_model_key(base_model_id: str, name: str) -> str:
    """The key of a base model's file, or of its manifest."""
    return base_model_prefix(base_model_id) + name
