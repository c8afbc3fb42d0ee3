"""Hyperparameters, model names and metrics of fine-tunes."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.artifacts import Artifact, ArtifactKind, model_artifact
from domain.base_models import LINEAR_LAYERS, MAX_MODEL_ID_LENGTH, TINY, BaseModel
from domain.errors import Invalid
from domain.finetunes import TrainingMetrics, model_name, project_slug, updated_metrics
from domain.hyperparameters import TrainingObjective
from domain.job_events import Metric
from domain.rules import NAME_LIMIT, safe_name
from domain.training_points import TrainingPoint
from infra.db.training_points import by_step
from tests.fakes.trainer import AT


@pytest.mark.parametrize(
    ("project", "slug"),
    [
        ("Kundendienst", "kundendienst"),
        ("Acme Support Bot", "acme_support_bot"),
        ("ÄRZTE & Pflege 24/7", "ärzte__pflege_247"),
        ("日本語 モデル", "日本語_モデル"),
        ("tab\tand\u00a0space", "tab_and_space"),
        ("under_score-dash.dot", "underscoredashdot"),
        ("🙂 fine 🙂", "_fine_"),
        ("🙂🚀", "project"),
        ("🙂 🚀", "project"),
        ("!!!", "project"),
    ],
)
def test_a_project_name_becomes_lower_case_letters_digits_and_underscores(project: str, slug: str) -> None:
    assert project_slug(project) == slug


def test_a_model_is_named_after_its_base_its_project_and_its_version() -> None:
    assert model_name("luthier/tiny", "Capital Cities", 3) == "luthier/tiny_capital_cities_v3"


@pytest.mark.parametrize(
    ("files", "model"),
    [
        ("llama_3.2_v1.gguf:GGUF other.gguf:GGUF", "llama_3.2_v1.gguf"),
        ("llama_3.2_v1.q4_0.gguf:GGUF llama_3.2_v1.gguf:GGUF", "llama_3.2_v1.gguf"),
        ("other.gguf:GGUF config.json:CONFIG", "other.gguf"),
        ("lora.gguf:ADAPTER other.gguf:GGUF", "other.gguf"),
        ("a.gguf:GGUF b.gguf:GGUF", None),
        ("lora.gguf:ADAPTER", None),
        ("", None),
    ],
)
def test_the_model_is_the_gguf_of_its_name_or_else_the_only_one(files: str, model: str | None) -> None:
    artifacts = [
        Artifact(filename=name, kind=ArtifactKind(kind), size_bytes=1, sha256="")
        for name, kind in (file.split(":") for file in files.split())
    ]
    found = model_artifact(artifacts, "llama/3.2_v1")
    assert (found and found.filename) == model


@settings(max_examples=40)
@given(st.text(min_size=1, max_size=NAME_LIMIT))
def test_the_model_name_of_every_project_is_a_valid_file_name(project: str) -> None:
    slug = project_slug(project)
    assert slug
    assert all(letter.isalnum() or letter == "_" for letter in slug)
    name = model_name("organization/model", project, 99_999)
    assert len(f".{safe_name(name)}.gguf.partial".encode()) <= 255


def test_a_model_name_that_no_file_can_have_is_refused() -> None:
    with pytest.raises(Invalid, match="shorter name") as refused:
        model_name("m" * MAX_MODEL_ID_LENGTH, "p" * NAME_LIMIT, 1)
    assert refused.value.reason == "MODEL_NAME_TOO_LONG"


def test_a_model_without_defaults_of_its_own_has_the_common_ones() -> None:
    model = BaseModel(id="", model_id="some/model", name="Some", base_architecture="llama")
    values = model.hyperparameters({}, max_seq_length=1024)
    assert (values.num_epochs, values.learning_rate, values.per_device_batch_size) == (3.0, 2e-4, 4)
    assert (values.gradient_accumulation_steps, values.max_seq_length) == (4, 1024)
    assert (values.lora_r, values.lora_alpha, values.lora_dropout) == (16, 32, 0.05)
    assert (values.target_modules, values.warmup_ratio, values.weight_decay) == (LINEAR_LAYERS, 0.03, 0.01)


def test_overrides_come_before_a_models_own_defaults_and_those_before_the_common_ones() -> None:
    values = TINY.hyperparameters({"num_epochs": 7.0, "lora_r": None}, max_seq_length=512)
    assert values.num_epochs == 7.0
    assert values.lora_r == TINY.defaults["lora_r"]
    assert values.lora_alpha == TINY.default_alpha


def test_dpo_has_a_beta_and_a_tenth_of_the_learning_rate_of_sft() -> None:
    model = BaseModel(id="", model_id="some/model", name="Some", base_architecture="llama")
    values = model.hyperparameters({}, max_seq_length=512, objective=TrainingObjective.DPO)
    own = TINY.hyperparameters({}, max_seq_length=512, objective=TrainingObjective.DPO)
    assert (values.beta, values.learning_rate, own.learning_rate) == (0.1, 2e-5, 3e-4)
    overrides = {"beta": 0.5, "learning_rate": 1e-3}
    given = TINY.hyperparameters(overrides, max_seq_length=512, objective=TrainingObjective.DPO)
    assert (given.beta, given.learning_rate) == (0.5, 1e-3)
    assert TINY.hyperparameters({"beta": None}, max_seq_length=512).beta is None


@pytest.mark.parametrize("beta", [0.0, -0.1, 2.01, float("nan")])
def test_a_beta_out_of_range_is_refused(beta: float) -> None:
    with pytest.raises(Invalid, match=r"hyperparameters\.beta"):
        TINY.hyperparameters({"beta": beta}, max_seq_length=512, objective=TrainingObjective.DPO)


def test_a_module_that_is_named_twice_counts_once() -> None:
    values = TINY.hyperparameters({"target_modules": ["q_proj", "v_proj", "q_proj"]}, max_seq_length=512)
    assert values.target_modules == ("q_proj", "v_proj")


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("num_epochs", 0.0, "numEpochs"),
        ("num_epochs", float("nan"), "numEpochs"),
        ("learning_rate", 0.0, "learningRate"),
        ("learning_rate", 1.1, "learningRate"),
        ("per_device_batch_size", 0, "perDeviceBatchSize"),
        ("gradient_accumulation_steps", 0, "gradientAccumulationSteps"),
        ("max_seq_length", 15, "maxSeqLength"),
        ("max_seq_length", 1_000_000, "maxSeqLength"),
        ("lora_r", 0, "loraR"),
        ("lora_r", 100_000, "loraR"),
        ("lora_alpha", 0, "loraAlpha"),
        ("lora_dropout", 1.0, "loraDropout"),
        ("warmup_ratio", -0.1, "warmupRatio"),
        ("weight_decay", 2.0, "weightDecay"),
        ("target_modules", [], "targetModules"),
        ("target_modules", ["lm_head"], "targetModules"),
    ],
)
def test_a_hyperparameter_out_of_range_is_refused_by_name(name: str, value: Any, field: str) -> None:
    with pytest.raises(Invalid, match=field) as refused:
        TINY.hyperparameters({name: value}, max_seq_length=512)
    assert refused.value.field == [f"hyperparameters.{field}"]


def test_metrics_keep_the_values_that_a_new_point_does_not_measure() -> None:
    step = TrainingPoint(step=4, epoch=1.0, train_loss=0.5, learning_rate=1e-3, at=AT)
    evaluation = TrainingPoint(step=5, epoch=1.25, eval_loss=0.7, at=AT)
    first = updated_metrics(None, Metric(step, total_steps=8, tokens_per_second=90.0))
    assert updated_metrics(first, Metric(evaluation, total_steps=8)) == TrainingMetrics(
        step=5,
        total_steps=8,
        epoch=1.25,
        train_loss=0.5,
        eval_loss=0.7,
        learning_rate=1e-3,
        tokens_per_second=90.0,
    )


def test_a_loss_and_an_evaluation_of_one_step_are_one_point() -> None:
    loss = TrainingPoint(step=4, epoch=1.0, train_loss=0.5, at=AT)
    evaluation = TrainingPoint(step=4, epoch=1.0, eval_loss=0.7, perplexity=2.0, at=AT)
    later = TrainingPoint(step=5, epoch=1.2, train_loss=0.4, at=AT)
    assert by_step([loss, evaluation, later]) == [replace(evaluation, train_loss=0.5), later]
