"""The model card: `README.md` in the Hugging Face Hub's form. It has no text of an item."""

import json
import re
from importlib.metadata import version

from huggingface_hub import ModelCardData

from domain.hyperparameters import TrainingObjective
from domain.ports.trainer import TrainingRun
from domain.storage_keys import gguf_filename
from infra.training import tiny
from infra.training.gguf_metadata import HUB, TAGS, license_fields
from infra.training.run_summary import PACKAGES, RunSummary

OBJECTIVES = {
    TrainingObjective.SFT: "supervised fine-tuning (SFT)",
    TrainingObjective.DPO: "direct preference optimization ([DPO](https://arxiv.org/abs/2305.18290))",
}
CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
MARKDOWN_CHARACTERS = re.compile(r"([\\`*_{}\[\]<>#|~])")
PEFT_EXAMPLE = """\
```python
from peft import AutoPeftModelForCausalLM
from transformers import AutoTokenizer

model = AutoPeftModelForCausalLM.from_pretrained(".")
tokenizer = AutoTokenizer.from_pretrained(".")
messages = [{"role": "user", "content": "Hello!"}]
inputs = tokenizer.apply_chat_template(
    messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
)
output = model.generate(**inputs, max_new_tokens=256, do_sample=False)[0]
print(tokenizer.decode(output[inputs["input_ids"].shape[1] :], skip_special_tokens=True))
```"""
TINY_NOTE = """\
The base model is on no hub: it is in the folder `base`, which PEFT looks up from the folder that the program runs in.
From another one, name both:
`PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(f"{folder}/base"), folder)`."""


def model_card(summary: RunSummary) -> str:
    """The model card of a finished run."""
    run = summary.frozen.run
    sections = (
        f"---\n{_metadata(run)}\n---",
        _overview(run),
        f"## Training data\n\n{_training_data(summary)}",
        f"## Training procedure\n\n{_procedure(summary)}",
        f"## Results\n\n{_results(summary)}",
        f"## Use\n\n{_use(run)}",
        f"## Licence\n\n{_license(run)}",
    )
    return "\n\n".join(sections) + "\n"


def _metadata(run: TrainingRun) -> str:
    card = ModelCardData(
        base_model=run.base_model_name,
        library_name="peft",
        pipeline_tag="text-generation",
        tags=[*TAGS, "gguf"],
        **license_fields(run),
    )
    return str(card.to_yaml())


def _overview(run: TrainingRun) -> str:
    base = _plain(run.base_model_name)
    link = base if run.base_model_name == tiny.NAME else f"[{base}]({HUB}/{run.base_model_name})"
    return (
        f"# {_plain(run.model_name)}\n\n"
        f"{link}, fine-tuned with Luthier: a LoRA adapter, and one GGUF file into which it is merged. "
        f"Its name is {_plain(run.name)}, its version {run.version}, its id {run.finetune_id}."
    )


def _training_data(summary: RunSummary) -> str:
    run, train, held_out = summary.frozen.run, summary.train, summary.held_out
    return _list(
        f"Dataset: {_plain(run.dataset_name)}, version {run.dataset_version}",
        f"Items trained on: {len(train.items)}; held out for evaluation: {len(held_out.items)}",
        f"Items left out: {train.dropped + held_out.dropped}; truncated: {train.truncated + held_out.truncated}",
        f"SHA-256 of the items: `{summary.frozen.items_sha256}`",
    )


def _procedure(summary: RunSummary) -> str:
    run, values = summary.frozen.run, summary.frozen.run.hyperparameters
    return _list(
        f"Objective: {OBJECTIVES[run.objective]}"
        + ("" if values.beta is None else f" with beta {values.beta:g}"),
        f"Method: {run.method}, with rank {values.lora_r}, alpha {values.lora_alpha} "
        f"and dropout {values.lora_dropout:g} on {', '.join(values.target_modules)}",
        f"Epochs: {values.num_epochs:g}; batch size: {values.per_device_batch_size}; "
        f"gradient accumulation steps: {values.gradient_accumulation_steps}",
        f"Learning rate: {values.learning_rate:g}; warmup ratio: {values.warmup_ratio:g}; "
        f"weight decay: {values.weight_decay:g}",
        f"Maximum sequence length: {values.max_seq_length} tokens",
        f"Seed: {run.seed}",
        f"Training time: {summary.seconds:.0f} s",
        f"Versions: {', '.join(f'{name} {version(name)}' for name in PACKAGES)}",
    )


def _results(summary: RunSummary) -> str:
    parity = summary.parity
    return _list(
        f"Training loss of the last step: {_number(summary.final_train_loss)}",
        f"Evaluation loss at the end: {_number(summary.final_eval_loss)}",
        *_rewards(summary),
        f"The GGUF answers as the fine-tuned model: {'yes' if parity.passed else 'NO'} "
        f"({parity.outputs_matching} of {parity.prompts_compared} outputs are equal)",
    )


def _rewards(summary: RunSummary) -> list[str]:
    if summary.frozen.run.objective is TrainingObjective.SFT:
        return []
    margin, accuracy = summary.final("reward_margin"), summary.final("reward_accuracy")
    return [f"Reward margin of the last step: {_number(margin)}; reward accuracy: {_number(accuracy)}"]


def _use(run: TrainingRun) -> str:
    request = {"model": run.model_name, "messages": [{"role": "user", "content": "Hello!"}]}
    parts = (
        "With PEFT, in the unpacked archive of all files:",
        PEFT_EXAMPLE,
        *([TINY_NOTE] if run.base_model_name == tiny.NAME else []),
        "The GGUF, with llama.cpp or what is built on it:",
        f"```sh\nllama-server -m {gguf_filename(run.model_name)}\n```",
        "Deployed in Luthier, with any client of the OpenAI API; base URL and key are the deployment's:",
        f"```python\nclient.chat.completions.create(**{json.dumps(request, ensure_ascii=False)})\n```",
    )
    return "\n\n".join(parts)


def _license(run: TrainingRun) -> str:
    if run.base_model_license is None:
        return "The licence of the base model is not known here; read its own model card before use."
    return f"The base model's licence is {_plain(run.base_model_license)}."


def _list(*lines: str) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _plain(text: str) -> str:
    """A user's text on one line, without Markdown in it, and without what would control a terminal."""
    words = CONTROL_CHARACTERS.sub(" ", text).split()
    return MARKDOWN_CHARACTERS.sub(r"\\\1", " ".join(words))


def _number(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.4f}"
