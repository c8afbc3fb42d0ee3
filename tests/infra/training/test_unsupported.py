import ctypes
import errno
import io
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
from transformers import TrainerControl, TrainerState, TrainingArguments

from domain.hyperparameters import FinetuneMethod
from domain.ports.trainer import Trainer, TrainingFailed
from infra.training import machine
from infra.training.base_model import fetch_base_model
from infra.training.error_messages import OUT_OF_MEMORY, UNKNOWN, user_message
from infra.training.export import check_convertible
from infra.training.reporter import Reporter
from infra.training.trainer import ProcessTrainer
from infra.training.training_callback import ReportingCallback


@pytest.fixture
def trainer(tmp_path: Path) -> Trainer:
    return ProcessTrainer(tmp_path)


def test_lora_is_supported_where_the_packages_are(trainer: Trainer) -> None:
    assert trainer.unsupported_reason(FinetuneMethod.LORA) is None


def test_full_fine_tuning_is_unsupported_and_the_reason_names_what_would_work(trainer: Trainer) -> None:
    assert trainer.unsupported_reason(FinetuneMethod.FULL) == "Full fine-tuning is not offered yet; use LORA."


def test_qlora_is_unsupported_for_each_reason_and_they_name_what_would_work(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "cuda_devices", lambda: 0)
    monkeypatch.setattr(
        machine, "find_spec", lambda name: None if name == "bitsandbytes" else ModuleSpec(name, None)
    )
    monkeypatch.setattr(machine, "version", lambda _name: "2.13.0+cpu")
    assert trainer.unsupported_reason(FinetuneMethod.QLORA) == (
        "QLORA cannot run on this machine: no CUDA GPU was found and the bitsandbytes package is not installed "
        "and PyTorch is the build without CUDA. "
        "Use LORA here, or a worker with an NVIDIA GPU, a CUDA build of PyTorch and bitsandbytes."
    )


def test_qlora_is_supported_on_a_machine_that_has_everything(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "cuda_devices", lambda: 1)
    monkeypatch.setattr(machine, "find_spec", lambda name: ModuleSpec(name, None))
    monkeypatch.setattr(machine, "version", lambda _name: "2.13.0+cu130")
    assert trainer.unsupported_reason(FinetuneMethod.QLORA) is None


def test_a_machine_without_the_packages_says_which_are_missing(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        machine, "find_spec", lambda name: None if name in {"torch", "trl"} else ModuleSpec(name, None)
    )
    assert trainer.unsupported_reason(FinetuneMethod.LORA) == (
        "This machine cannot train: torch, trl not installed; install luthier[training,embedded] on the worker."
    )


@pytest.mark.parametrize("method", [FinetuneMethod.LORA, FinetuneMethod.QLORA])
def test_a_machine_without_torch_lets_the_workers_decide(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch, method: FinetuneMethod
) -> None:
    monkeypatch.setattr(machine, "find_spec", lambda _name: None)
    assert trainer.rejection_reason(method) is None
    assert "not installed" in (trainer.unsupported_reason(method) or "")


def test_a_machine_with_torch_and_one_without_reject_what_no_worker_can_do(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert trainer.rejection_reason(FinetuneMethod.LORA) is None
    assert trainer.rejection_reason(FinetuneMethod.FULL) == trainer.unsupported_reason(FinetuneMethod.FULL)
    monkeypatch.setattr(machine, "cuda_devices", lambda: 0)
    assert "no CUDA GPU" in (trainer.rejection_reason(FinetuneMethod.QLORA) or "")
    monkeypatch.setattr(machine, "find_spec", lambda _name: None)
    assert trainer.rejection_reason(FinetuneMethod.FULL) == trainer.unsupported_reason(FinetuneMethod.FULL)


def test_a_machine_without_a_driver_has_no_cuda_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_name: str) -> None:
        raise OSError

    machine.cuda_devices.cache_clear()
    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert machine.cuda_devices() == 0
    machine.cuda_devices.cache_clear()


def test_a_base_model_whose_files_are_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(TrainingFailed, match=r"^The files of the base model are not on this machine\.$"):
        fetch_base_model("some-one/some-model", tmp_path, tmp_path / "absent")


def test_a_base_model_that_cannot_be_exported_is_refused_before_hours_of_training(
    models: Path, tmp_path: Path
) -> None:
    tiny = fetch_base_model("luthier/tiny", models)
    shutil.copytree(tiny.folder, tmp_path / "odd")
    config = json.loads((tmp_path / "odd" / "config.json").read_text())
    (tmp_path / "odd" / "config.json").write_text(json.dumps(config | {"architectures": ["OddForCausalLM"]}))
    odd = replace(tiny, folder=tmp_path / "odd")
    with pytest.raises(TrainingFailed, match="cannot export this base model to GGUF"):
        check_convertible(odd, tmp_path / "check.gguf", Reporter(io.BytesIO()))


def test_errors_become_sentences_by_their_kind_their_text_or_their_cause() -> None:
    wrapped = RuntimeError("while training")
    wrapped.__cause__ = TrainingFailed("The loss is not finite.")
    assert [
        user_message(error)
        for error in (
            MemoryError(),
            RuntimeError(
                "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
            ),
            OSError(errno.ENOSPC, "No space left on device"),
            ValueError("Target modules {'nope'} not found in the base model."),
            wrapped,
            RuntimeError("shapes cannot be multiplied"),
        )
    ] == [
        OUT_OF_MEMORY,
        OUT_OF_MEMORY,
        "The disk is full; free some space and try again.",
        "The base model has none of the target modules; choose others.",
        "The loss is not finite.",
        UNKNOWN,
    ]


def test_a_loss_that_is_not_finite_ends_the_run(tmp_path: Path) -> None:
    entry = {"loss": float("nan"), "num_tokens": 8, "seconds": 1.0, "at": 0.0, "step": 3, "epoch": 1.0}
    state = TrainerState(log_history=[entry], global_step=3, max_steps=9)
    arguments = TrainingArguments(output_dir=str(tmp_path), use_cpu=True)
    with pytest.raises(TrainingFailed, match=r"not finite at step 3; use a lower learning rate\.$"):
        ReportingCallback(Reporter(io.BytesIO()), evaluates=False).on_log(
            arguments, state, TrainerControl(), logs=entry
        )


def test_the_worker_never_imports_torch() -> None:
    heavy = "{'torch', 'transformers', 'trl', 'peft', 'datasets'}"
    program = f"import sys, infra.training.trainer; print(*({heavy} & sys.modules.keys()))"
    assert subprocess.check_output([sys.executable, "-c", program], text=True) == "\n"
