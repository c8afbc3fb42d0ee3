"""How the entries of the catalog and the facts of a hub are brought together with the base models that are stored."""

from dataclasses import replace

from domain.base_models import BaseModel, ModelSource

UNVERIFIED = "The facts of this model are from its publisher's documentation; `resolveModel` reads them from its files."
"""The warning of a catalog entry whose config.json was not read."""
VIDEO = "A video model: external workers alone can train it, and its fine-tunes cannot be deployed."
DEQUANTIZED = "The weights were dequantized"
"""How the warning of weights begins that an import has made of quantized ones."""
REMOVED = "The model is no longer in the catalog of this installation."


def gated_warning(model_id: str) -> str:
    """The warning of a model whose files need an access."""
    return (
        f"A gated model: accept its license on https://huggingface.co/{model_id}, and set HF_TOKEN to a token of that "
        "account for the API and the workers."
    )


def updated_entry(entry: BaseModel, stored: BaseModel | None) -> BaseModel:
    """A catalog entry with what is known of the stored model: its weights, and the facts of its files if they were read."""
    if stored is None:
        return entry
    kept = replace(
        entry,
        id=stored.id,
        revision=stored.revision,
        sha256=stored.sha256,
        size_bytes=stored.size_bytes,
        last_used_at=stored.last_used_at,
        warnings=(
            *entry.warnings,
            *(warning for warning in stored.warnings if warning.startswith(DEQUANTIZED)),
        ),
    )
    was_read = stored.revision is not None and UNVERIFIED not in stored.warnings
    return _with_facts(kept, stored) if was_read and UNVERIFIED in entry.warnings else kept


def updated_model(found: BaseModel, stored: BaseModel) -> BaseModel:
    """A stored model with the facts of a hub; stored weights of another commit are no longer the model's."""
    is_entry = stored.source is ModelSource.CATALOG and REMOVED not in stored.warnings
    model = _with_facts(stored, found) if is_entry else replace(found, id=stored.id)
    new_warnings = (warning for warning in found.warnings if warning not in model.warnings)
    is_same = found.revision == stored.revision
    return replace(
        model,
        revision=found.revision,
        sha256=stored.sha256 if is_same else None,
        size_bytes=stored.size_bytes if is_same else None,
        last_used_at=stored.last_used_at,
        warnings=(*model.warnings, *new_warnings),
    )


def removed_entry(stored: BaseModel) -> BaseModel:
    """A stored model that the catalog no longer has: it cannot be fine-tuned."""
    others = (warning for warning in stored.warnings if warning != REMOVED)
    return replace(stored, valid=False, warnings=(REMOVED, *others))


def _with_facts(entry: BaseModel, facts: BaseModel) -> BaseModel:
    """A catalog entry with the facts that were read from the model's files."""
    return replace(
        entry,
        model_type=facts.model_type,
        base_architecture=facts.base_architecture,
        architecture=facts.architecture,
        num_parameters=facts.num_parameters or entry.num_parameters,
        vocab_size=facts.vocab_size or entry.vocab_size,
        max_position_embeddings=facts.max_position_embeddings or entry.max_position_embeddings,
        license=facts.license or entry.license,
        warnings=tuple(warning for warning in entry.warnings if warning != UNVERIFIED),
    )
