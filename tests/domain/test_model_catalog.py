"""How catalog entries and a hub's facts meet the base models that are stored."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from domain.base_models import (
    MAX_MODEL_ID_LENGTH,
    BaseModel,
    ModelSource,
    ModelType,
    id_of,
    max_parameters_4bit,
    require_trainable,
    validated_model_id,
)
from domain.errors import Invalid
from domain.ids import Noun, noun_of
from domain.model_catalog import REMOVED, UNVERIFIED, removed_entry, updated_entry, updated_model

ENTRY = BaseModel(
    id=id_of("acme/small"),
    model_id="acme/small",
    name="Small",
    base_architecture="llama",
    num_parameters=7,
    vocab_size=70,
    license="mit",
    warnings=("Slow.", UNVERIFIED),
)
USED_AT = datetime(2026, 1, 1, tzinfo=UTC)
STORED = replace(ENTRY, name="Old", revision="c1", sha256="5e", size_bytes=9, last_used_at=USED_AT)
FOUND = replace(
    ENTRY,
    name="small",
    source=ModelSource.HUGGING_FACE,
    num_parameters=8,
    license=None,
    revision="c2",
    warnings=("Gated.",),
)


def test_an_id_is_made_from_the_name() -> None:
    assert id_of("acme/small") == id_of("acme/small") != id_of("acme/large")
    assert noun_of(id_of("acme/small")) is Noun.BASE_MODEL


@pytest.mark.parametrize("name", ["gpt2", "Qwen/Qwen2.5-0.5B", " acme/small_1 ", "m" * MAX_MODEL_ID_LENGTH])
def test_a_name_of_a_repository_is_accepted(name: str) -> None:
    assert validated_model_id(name) == name.strip()


def test_memory_in_4_bits_is_limited_by_the_estimate_that_is_shown() -> None:
    for parameters in (1_000_000, 134_515_008, 494_032_768, 8_190_735_360, 32_763_876_352):
        shown = replace(ENTRY, num_parameters=parameters).estimated_vram4bit_gb
        assert shown is not None
        assert parameters <= max_parameters_4bit(shown)
        assert parameters > max_parameters_4bit(shown - 0.011)


def test_an_entry_keeps_what_the_worker_recorded() -> None:
    updated = updated_entry(replace(ENTRY, name="New"), STORED)
    assert updated == replace(STORED, name="New")
    assert updated_entry(ENTRY, None) == ENTRY


def test_an_unverified_entry_keeps_the_facts_that_were_read() -> None:
    read = updated_model(FOUND, STORED)
    assert (read.name, read.source, read.revision) == ("Old", ModelSource.CATALOG, "c2")
    assert (read.num_parameters, read.license, read.warnings) == (8, "mit", ("Slow.", "Gated."))
    again = updated_entry(replace(ENTRY, name="New"), read)
    assert (again.name, again.num_parameters, again.warnings) == ("New", 8, ("Slow.",))
    verified = replace(ENTRY, num_parameters=6, warnings=())
    assert updated_entry(verified, read).num_parameters == 6


def test_weights_of_another_commit_are_no_longer_the_models() -> None:
    assert (updated_model(FOUND, STORED).sha256, updated_model(FOUND, STORED).size_bytes) == (None, None)
    same = updated_model(replace(FOUND, revision="c1"), STORED)
    assert (same.sha256, same.size_bytes, same.last_used_at) == ("5e", 9, USED_AT)


def test_an_entry_that_is_gone_is_not_valid_until_it_is_back_or_resolved() -> None:
    removed = removed_entry(removed_entry(STORED))
    assert (removed.valid, removed.warnings) == (False, (REMOVED, "Slow.", UNVERIFIED))
    assert updated_entry(ENTRY, removed) == replace(STORED, name="Small")
    resolved = updated_model(FOUND, removed)
    assert (resolved.valid, resolved.source, resolved.warnings) == (
        True,
        ModelSource.HUGGING_FACE,
        ("Gated.",),
    )


def test_an_entry_that_an_operator_forbids_stays_so_when_it_is_resolved() -> None:
    assert not updated_model(FOUND, replace(STORED, valid=False, warnings=("Not here.",))).valid


def test_a_model_that_is_not_valid_or_not_text_is_not_trained_here() -> None:
    require_trainable(ENTRY, is_local=True)
    video = replace(ENTRY, model_type=ModelType.VIDEO_CAPTIONING)
    require_trainable(video, is_local=False)
    with pytest.raises(Invalid, match="EXTERNAL"):
        require_trainable(video, is_local=True)
    with pytest.raises(Invalid, match=r"cannot be fine-tuned: Slow\.$"):
        require_trainable(replace(ENTRY, valid=False), is_local=False)
