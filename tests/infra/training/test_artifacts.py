import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from gguf import GGUFReader
from gguf.metadata import Metadata
from huggingface_hub import ModelCard

from domain.artifacts import ArtifactKind
from domain.finetunes import InferenceSample, ParityReport
from domain.ports.trainer import TrainingRun
from infra.training import artifacts
from infra.training.base_model import LocalBaseModel, fetch_base_model
from infra.training.data import TokenizedSplit
from infra.training.findings import Findings
from infra.training.frozen_run import FrozenRun
from infra.training.gguf_metadata import converter_card
from infra.training.model_card import model_card
from infra.training.run_summary import RunSummary
from tests.infra.training.conftest import Trained, capitals, run_in, small_run
from tests.judges.gguf import problems_of

NO_ITEMS = TokenizedSplit(items=(), findings=Findings())
PARITY = ParityReport(
    passed=False,
    prompts_compared=2,
    template_matches=True,
    token_ids_match=True,
    outputs_matching=1,
    detail="1 of 2 outputs differ, first for 'My secret'",
)


@pytest.fixture(scope="module")
def base_model(models: Path) -> LocalBaseModel:
    return fetch_base_model("luthier/tiny", models)


def adapter_config(folder: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((folder / "adapter_config.json").read_text())
    return config


def summary_of(run: TrainingRun) -> RunSummary:
    sample = InferenceSample(prompt="My secret", expected="My secret", tuned_output="My secret")
    return RunSummary(
        frozen=FrozenRun.of(run, run.folder),
        train=NO_ITEMS,
        held_out=NO_ITEMS,
        points=(),
        seconds=1.0,
        samples=(sample,),
        parity=PARITY,
        warnings=(),
    )


def general_keys(gguf: Path) -> dict[str, Any]:
    """The `general.*` keys of a GGUF, without that prefix."""
    fields = GGUFReader(gguf).fields
    return {
        name.removeprefix("general."): field.contents()
        for name, field in fields.items()
        if name.startswith("general.")
    }


def test_every_artifact_is_whole_and_as_it_was_reported(trained: Trained) -> None:
    assert [(file.filename, file.kind) for file in trained.result.files] == [
        ("Capitals__by_heart.gguf", ArtifactKind.GGUF),
        ("adapter_model.safetensors", ArtifactKind.ADAPTER),
        ("adapter_config.json", ArtifactKind.ADAPTER),
        ("chat_template.jinja", ArtifactKind.ADAPTER),
        ("tokenizer.json", ArtifactKind.ADAPTER),
        ("tokenizer.model", ArtifactKind.ADAPTER),
        ("tokenizer_config.json", ArtifactKind.ADAPTER),
        ("config.json", ArtifactKind.BASE_MODEL),
        ("generation_config.json", ArtifactKind.BASE_MODEL),
        ("model.safetensors", ArtifactKind.BASE_MODEL),
        ("training_config.json", ArtifactKind.CONFIG),
        ("metrics.json", ArtifactKind.METRICS),
        ("report.md", ArtifactKind.REPORT),
        ("README.md", ArtifactKind.REPORT),
    ]
    for file in trained.result.files:
        content = file.path.read_bytes()
        assert (file.size_bytes, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    filenames = sorted(path.name for path in (trained.run.folder / "artifacts").iterdir())
    assert filenames == sorted(file.filename for file in trained.result.files)


def test_the_configuration_names_everything_that_decides_the_result(
    trained: Trained, base_model: LocalBaseModel
) -> None:
    config = json.loads((trained.run.folder / "artifacts" / "training_config.json").read_text())
    items = trained.run.items_path.read_bytes()
    assert config["train_item_ids"] == [f"item_{index}" for index in range(40)]
    assert config["items_sha256"] == hashlib.sha256(items).hexdigest()
    assert config["chat_template"] == base_model.tokenizer.chat_template
    assert (config["dataset_name"], config["dataset_version"]) == ("Capitals", 2)
    assert (config["base_model_license"], config["version"]) == ("apache-2.0", 3)
    assert (config["objective"], config["item_format"]) == ("SFT", "PROMPT_COMPLETION")
    assert (config["seed"], config["hyperparameters"]["lora_r"]) == (1, 32)
    assert config["packages"]["torch"].startswith("2.13")


def test_the_adapter_names_the_base_model_in_its_archive(trained: Trained) -> None:
    assert adapter_config(trained.run.folder / "artifacts")["base_model_name_or_path"] == "./base"


def test_the_adapter_of_another_base_model_names_it_as_the_hub_does(
    base_model: LocalBaseModel, trained: Trained, tmp_path: Path
) -> None:
    saved = trained.run.folder / "artifacts"
    artifacts.copy_adapter(saved, tmp_path, "Qwen/Qwen2.5-0.5B-Instruct")
    assert artifacts.copy_tiny_model(base_model, tmp_path, "Qwen/Qwen2.5-0.5B-Instruct") == []
    assert adapter_config(tmp_path)["base_model_name_or_path"] == "Qwen/Qwen2.5-0.5B-Instruct"


def test_no_text_file_names_a_path_of_this_machine(trained: Trained, models: Path) -> None:
    texts = [file for file in trained.result.files if file.path.suffix in {".json", ".jinja", ".md"}]
    assert len(texts) == 10
    for file in texts:
        content = file.path.read_text()
        assert str(trained.run.folder) not in content
        assert str(models) not in content


def test_the_report_has_the_items_the_samples_and_the_parity(trained: Trained) -> None:
    report = (trained.run.folder / "artifacts" / "report.md").read_text()
    assert "Dataset: Capitals, version 2." in report
    assert "Licence of the base model: apache-2.0." in report
    assert "Trained on 40 items; 0 held out." in report
    assert "| What is the capital of France? | The capital of France is Paris. |" in report
    assert "## Parity of the GGUF: passed" in report


def test_the_gguf_names_base_model_licence_version_and_fine_tune(trained: Trained) -> None:
    keys = general_keys(trained.run.folder / "artifacts" / "Capitals__by_heart.gguf")
    expected = {
        "name": "Capitals, by heart",
        "basename": "tiny",
        "finetune": "By heart",
        "version": "v3",
        "size_label": "3.4M",
        "license": "apache-2.0",
        "description": "luthier/tiny, fine-tuned by LORA on the dataset Capitals: finetune_1",
        "base_model.count": 1,
        "base_model.0.name": "tiny",
        "base_model.0.organization": "luthier",
        "dataset.count": 1,
        "dataset.0.name": "Capitals",
        "dataset.0.version": "v2",
        "tags": ["luthier", "lora", "text-generation"],
    }
    assert {name: keys.get(name) for name in expected} == expected
    assert "base_model.0.repo_url" not in keys  # no hub has luthier/tiny


def test_the_converter_reads_any_name_and_an_unknown_licence_as_unknown(tmp_path: Path) -> None:
    run = small_run(tmp_path, "HuggingFaceTB/SmolLM2-135M-Instruct")
    odd = 'no: "a"\n---\n# \u2028 \x85 😀\t- b'
    (tmp_path / "README.md").write_text(converter_card(replace(run, name=odd, dataset_name="2026-01-01")))
    metadata = Metadata.load(model_path=tmp_path)
    assert (metadata.name, metadata.finetune, metadata.basename) == (run.model_name, odd, "SmolLM2")
    assert (metadata.license, metadata.license_name) == ("other", "unknown")
    assert metadata.datasets == [{"name": "2026-01-01", "version": "v2"}]
    assert metadata.base_models == [
        {
            "name": "SmolLM2-135M-Instruct",
            "organization": "HuggingFaceTB",
            "repo_url": "https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct",
        }
    ]


def test_the_model_card_has_the_metadata_of_the_hub_and_says_how_the_model_was_made(trained: Trained) -> None:
    card = ModelCard.load(trained.run.folder / "artifacts" / "README.md")
    assert card.data.to_dict() == {
        "base_model": "luthier/tiny",
        "library_name": "peft",
        "license": "apache-2.0",
        "pipeline_tag": "text-generation",
        "tags": ["luthier", "lora", "gguf"],
    }
    for line in (
        "- Dataset: Capitals, version 2",
        "- Items trained on: 40; held out for evaluation: 0",
        "- Seed: 1",
        f"- Training loss of the last step: {trained.result.final_train_loss:.4f}",
        "- The GGUF answers as the fine-tuned model: yes (16 of 16 outputs are equal)",
        "llama-server -m Capitals__by_heart.gguf",
        "The base model's licence is apache-2.0.",
    ):
        assert line in card.content.splitlines()


def test_the_model_card_has_no_text_of_an_item(trained: Trained, tmp_path: Path) -> None:
    card = (trained.run.folder / "artifacts" / "README.md").read_text()
    assert not [text for row in capitals().rows for text in row if text in card]
    card = model_card(summary_of(small_run(tmp_path)))
    assert "answers as the fine-tuned model: NO (1 of 2 outputs are equal)" in card
    assert "secret" not in card


def test_the_model_card_of_a_base_model_with_an_unknown_licence_names_none(tmp_path: Path) -> None:
    run = replace(run_in(tmp_path, capitals(), "some-one/some-model"), name="[a](b)\n\x1b# c")
    text = model_card(summary_of(run))
    data = vars(ModelCard(text).data)
    names = ("license", "license_name", "base_model")
    assert [data[name] for name in names] == ["other", "unknown", "some-one/some-model"]
    assert "The licence of the base model is not known here" in text
    assert "[some-one/some-model](https://huggingface.co/some-one/some-model)" in text
    assert r"Its name is \[a\](b) \# c, its version 3" in text
    assert "on no hub" not in text


def test_the_gguf_renders_as_the_tokenizer_beside_it_and_another_template_is_found(trained: Trained) -> None:
    folder = trained.run.folder / "artifacts"
    template = (folder / "chat_template.jinja").read_text()
    gguf = folder / "Capitals__by_heart.gguf"
    assert problems_of(gguf, template) == []
    assert problems_of(gguf, template.replace("assistant", "bot")) != []
