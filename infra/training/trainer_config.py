"""The configuration that the trainers of all objectives share."""

import re
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from transformers import PreTrainedModel

from domain.hyperparameters import Hyperparameters
from domain.ports.trainer import TrainingRun

WHOLE_RUN = 1 - 1e-9
"""transformers takes `warmup_steps` below 1 for a share of all steps, rounded up, and from 1 on for a number of steps."""
SAVE_STEPS = 0.1  # one checkpoint every tenth of all steps

ENCODERS = r".*\b(vision_\w+|audio_\w+|visual|embed_vision|embed_audio|multi_modal_projector)\b.*"
"""The parts of multimodal models that read images and sounds, which no text trains."""


def lora_config(hyperparameters: Hyperparameters, model: PreTrainedModel) -> LoraConfig:
    """The configuration of the adapter of a model, whose encoders of images and sounds get none."""
    has_encoders = any(re.fullmatch(ENCODERS, name) for name, _ in model.named_modules())
    return LoraConfig(
        r=hyperparameters.lora_r,
        lora_alpha=hyperparameters.lora_alpha,
        lora_dropout=hyperparameters.lora_dropout,
        target_modules=list(hyperparameters.target_modules),
        exclude_modules=ENCODERS if has_encoders else None,
        bias="none",
        task_type="CAUSAL_LM",
    )


def training_arguments(run: TrainingRun, work_folder: Path) -> dict[str, Any]:
    """The arguments of `transformers.TrainingArguments` that do not depend on the objective."""
    cuda = torch.cuda.is_available()
    bf16 = cuda and torch.cuda.is_bf16_supported()
    hyperparameters = run.hyperparameters
    return {
        "output_dir": str(work_folder),
        "seed": run.seed,
        "data_seed": run.seed,
        "num_train_epochs": hyperparameters.num_epochs,
        "per_device_train_batch_size": hyperparameters.per_device_batch_size,
        "per_device_eval_batch_size": hyperparameters.per_device_batch_size,
        "gradient_accumulation_steps": hyperparameters.gradient_accumulation_steps,
        "learning_rate": hyperparameters.learning_rate,
        "lr_scheduler_type": "linear",
        "warmup_steps": min(hyperparameters.warmup_ratio, WHOLE_RUN),
        "weight_decay": hyperparameters.weight_decay,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # NaN must be seen: it ends the run
        "eval_strategy": "no",  # ReportingCallback evaluates
        "save_strategy": "steps",
        "save_steps": SAVE_STEPS,
        "save_total_limit": 2,
        "gradient_checkpointing": None,  # trl's own default, under its old name
        "activation_checkpointing": cuda,
        "use_cpu": not cuda,
        "bf16": bf16,
        "fp16": cuda and not bf16,
        "dataloader_pin_memory": cuda,
        "disable_tqdm": True,
        "report_to": [],
    }
