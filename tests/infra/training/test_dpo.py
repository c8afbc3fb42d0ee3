"""Training on preference pairs: what is tokenized, what is measured, and what the model answers afterwards."""

import asyncio
import io
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import trl
from huggingface_hub import ModelCard
from transformers import PreTrainedModel

from domain.conversations import Conversation, Message, Preference
from domain.ports.trainer import ItemsPrepared
from infra.training import parity
from infra.training.base_model import LocalBaseModel, fetch_base_model
from infra.training.data import cannot_train
from infra.training.dpo import dpo_dataset
from infra.training.export import merge_adapter
from infra.training.frozen_run import FrozenRun
from infra.training.items_file import PreferenceItem, read_preferences
from infra.training.pairs import tokenize_pairs
from infra.training.reporter import Reporter
from infra.training.trainer import ProcessTrainer
from tests.infra.training.conftest import (
    HYPERPARAMETERS,
    PairTable,
    Trained,
    city_pairs,
    dpo_run,
    messages_of,
)

TEMPLATES = Path(trl.__file__).parent / "chat_templates"
BETA = 0.01
"""Low, so that the preferred answers become much likelier before the pairs are told apart well enough."""


@pytest.fixture(scope="module")
def base_model(models: Path) -> LocalBaseModel:
    return fetch_base_model("luthier/tiny", models)


@pytest.fixture(scope="module")
def tuned(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Eight pairs of cities, and two held out."""
    hyperparameters = replace(HYPERPARAMETERS, num_epochs=12, per_device_batch_size=4, beta=BETA)
    folder = tmp_path_factory.mktemp("dpo")
    run = dpo_run(folder, PairTable(city_pairs(10), held_out=2), hyperparameters)
    return Trained(run, asyncio.run(messages_of(ProcessTrainer(models), run)), [])


def item(question: str, better: str, worse: str) -> PreferenceItem:
    asked = Conversation(messages=[{"role": "user", "content": question}])
    preferred, non_preferred = ({"role": "assistant", "content": text} for text in (better, worse))
    return PreferenceItem("item_1", Preference(input=asked, preferred=preferred, non_preferred=non_preferred))


def log_probability(
    model: PreTrainedModel, base_model: LocalBaseModel, asked: Conversation, answer: Message
) -> float:
    """The log-probability of an answer, its end token among it, computed without trl."""
    prompt = base_model.token_ids(asked, add_generation_prompt=True)
    whole = Conversation(messages=[*asked.messages, answer])
    ids = base_model.token_ids(whole, add_generation_prompt=False)
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([ids])).logits[0]
    of_each = torch.log_softmax(logits[:-1].double(), dim=-1)[range(len(ids) - 1), ids[1:]]
    return float(of_each[len(prompt) - 1 :].sum())


def differences(
    model: PreTrainedModel, base_model: LocalBaseModel, items: list[PreferenceItem]
) -> list[float]:
    """How much likelier the better answer of each pair is than the worse: the logarithm of the ratio."""
    return [
        log_probability(model, base_model, item.asked, item.preference.preferred)
        - log_probability(model, base_model, item.asked, item.preference.non_preferred)
        for item in items
    ]


def test_a_pair_is_its_prompt_and_the_tokens_of_both_answers(base_model: LocalBaseModel) -> None:
    hello = item("Say hello.", "Hello!", "No.")
    (columns,) = dpo_dataset(tokenize_pairs([hello], base_model, 100))
    decode = base_model.tokenizer.decode
    assert columns["prompt_ids"] == base_model.token_ids(hello.asked, add_generation_prompt=True)
    assert decode(columns["chosen_ids"]) == "Hello!<|im_end|>\n"
    assert decode(columns["rejected_ids"]) == "No.<|im_end|>\n"


def test_pairs_that_are_too_long_or_alike_are_left_out_and_named_in_warnings(
    base_model: LocalBaseModel,
) -> None:
    long = "Hello! " * 50
    kept = item("Say hello.", "Hello!", "No.")
    left_out = [
        item("Say hello.", "Hello!", long),
        item("Say hello.", long, "No."),
        item(long, "Hello!", "No."),
        item("Say hello.", "No.", "No."),
    ]
    split = tokenize_pairs([kept, *left_out], base_model, 60)
    assert [tokenized.item for tokenized in split.items] == [kept]
    assert (split.dropped, split.truncated) == (4, 0)
    assert split.warnings("training", 60) == [
        "3 training items were left out: their prompt and one of their answers have more than 60 tokens together.",
        "1 training item was left out: the chat template renders its two answers to the same text.",
    ]


@pytest.mark.parametrize("template", ["qwen3", "qwen3_training"])
def test_a_pair_is_asked_behind_earlier_turns_and_tools_and_only_its_endings_are_learned(
    models: Path, template: str
) -> None:
    base_model = fetch_base_model("luthier/tiny", models)
    base_model.tokenizer.chat_template = (TEMPLATES / f"{template}.jinja").read_text()
    earlier = [{"role": "user", "content": "One?"}, {"role": "assistant", "content": "1"}]
    tool = {"type": "function", "function": {"name": "add", "parameters": {}}}
    asked = Conversation(messages=[*earlier, {"role": "user", "content": "Two?"}], tools=[tool])
    better, worse = ({"role": "assistant", "content": text} for text in ("2", "3"))
    pair = PreferenceItem("item_1", Preference(input=asked, preferred=better, non_preferred=worse))
    split = tokenize_pairs([pair], base_model, 1000)
    (columns,) = dpo_dataset(split)
    prompt, chosen, rejected = map(base_model.tokenizer.decode, columns.values())
    assert '"name": "add"' in prompt
    assert "1<|im_end|>\n<|im_start|>user\nTwo?<|im_end|>" in prompt
    assert prompt.endswith("<|im_start|>assistant\n")
    assert [text.endswith(f"{number}<|im_end|>\n") for text, number in ((chosen, 2), (rejected, 3))] == [
        True
    ] * 2
    assert split.warnings("training", 1000) == []


def test_a_pair_that_the_chat_template_refuses_is_left_out_with_its_reason(models: Path) -> None:
    base_model = fetch_base_model("luthier/tiny", models)
    base_model.tokenizer.chat_template = "{{ raise_exception('Only tools are known.') }}"
    split = tokenize_pairs([item("Say hello.", "Hello!", "No.")], base_model, 100)
    assert cannot_train(split, 100) == (
        "No item can be trained on. 1 training item was left out: the chat template refuses its messages "
        "(Only tools are known.)."
    )


def test_a_dpo_run_starts_at_the_base_model_and_ends_with_every_pair_told_apart(tuned: Trained) -> None:
    points = [metric.point for metric in tuned.metrics]
    steps = [point for point in points if point.train_loss is not None]
    assert replace(tuned.prepared, base_model_sha256=None) == ItemsPrepared(trained_item_count=8)
    assert [point.step for point in steps] == list(range(1, 25))
    assert steps[0].train_loss == pytest.approx(math.log(2), abs=1e-4)
    assert steps[0].reward_margin == pytest.approx(0, abs=1e-4)
    assert steps[0].reward_accuracy == 0  # equal rewards are no preference
    assert all(point.reward_accuracy == 1.0 for point in steps[-6:])
    assert all((point.reward_margin or 0) > 0.8 for point in steps[-6:])
    assert all((point.train_loss or 1) < 0.4 for point in steps[-6:])
    assert steps[0].token_accuracy == pytest.approx(0, abs=0.1)
    assert steps[-1].token_accuracy == 1
    evaluations = [point for point in points if point.eval_loss is not None]
    assert [point.epoch for point in evaluations] == list(range(1, 13))
    assert all(point.perplexity is None and point.reward_margin is None for point in evaluations)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft's own
def test_the_loss_is_that_of_the_paper_computed_without_trl(
    tuned: Trained, base_model: LocalBaseModel, models: Path
) -> None:
    train, held_out = read_preferences(tuned.run.items_path)
    model = base_model.load_weights()
    before = differences(model, base_model, [*train, *held_out])
    merged = merge_adapter(model, FrozenRun.of(tuned.run, models).work_folder / "adapter")
    after = differences(merged, base_model, [*train, *held_out])
    margins = [BETA * (new - old) for new, old in zip(after, before, strict=True)]
    assert sum(difference > 0 for difference in before[:8]) < 8  # what the base prefers is chance
    assert min(after[:8]) > 0
    losses = [math.log1p(math.exp(-margin)) for margin in margins[8:]]
    last = next(metric.point for metric in reversed(tuned.metrics) if metric.point.eval_loss is not None)
    assert last.eval_loss == pytest.approx(sum(losses) / len(losses), abs=1e-4)


def test_the_gguf_gives_the_preferred_answers_and_answers_as_the_tuned_model(tuned: Trained) -> None:
    report = tuned.result.parity
    assert report is not None
    assert (report.passed, report.prompts_compared, report.detail) == (True, 8, None)
    gguf = tuned.run.folder / "artifacts" / "Capitals__by_heart.gguf"
    train, _ = read_preferences(tuned.run.items_path)
    results = parity.gguf_results(gguf, [item.asked for item in train], 256, Reporter(io.BytesIO()))
    assert [result.output for result in results] == [item.answer["content"] for item in train]


def test_the_report_and_the_model_card_of_a_dpo_run_say_what_was_measured(tuned: Trained) -> None:
    folder = tuned.run.folder / "artifacts"
    report, card = (folder / "report.md").read_text(), ModelCard.load(folder / "README.md").content
    assert "luthier/tiny, fine-tuned by DPO with LORA in" in report
    assert "- Beta 0.01." in report
    assert "| Step | Epoch | Training loss | Evaluation loss | Reward margin | Reward accuracy |" in report
    assert (
        "- Objective: direct preference optimization ([DPO](https://arxiv.org/abs/2305.18290)) with beta 0.01"
        in card
    )
    assert "reward accuracy: 1.0000" in card
    samples = tuned.result.samples
    assert [(sample.prompt, sample.expected) for sample in samples] == [row[:2] for row in city_pairs(10)[8:]]
