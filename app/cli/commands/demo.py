"""`luthier demo`."""

from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from app.cli.api_client import Client
from app.cli.commands.tune import KEEP, PORT, Finish, run
from app.cli.questions import ask, ask_three
from app.cli.table_steps import TuneOptions
from app.cli.tune_steps import ServedModel, StepPrinter

FOLDERS = (Path(__file__).parents[3] / "examples", Path(__file__).parents[2] / "examples")
"""The folder of the tables in a checkout, and in an installed package."""
TOY = "luthier/tiny"
REAL = "HuggingFaceTB/SmolLM2-135M-Instruct"
TOY_NOTE = (
    f"{TOY} is a toy: its weights are random, and it learns a small table by heart. "
    f"`luthier demo --base {REAL}` tunes a real model."
)
HYPERPARAMETERS = {
    "numEpochs": 4.0,
    "learningRate": 1e-3,
    "perDeviceBatchSize": 4,
    "gradientAccumulationSteps": 1,
}
"""Of a real model: the table is so small that the usual ones would take a dozen steps, and learn nothing by heart."""
QUESTIONS = (
    "Can I buy a loaf at seven in the morning?",
    "I am allergic to nuts. What can I not eat?",
    "May I pay with a credit card?",
)
"""What the bakery's table answers in other words."""
SAMPLES = (
    "query($id: ID!) { finetune(id: $id) { inferenceSamples { prompt expected baseOutput tunedOutput } } }"
)


@click.command("demo")
@click.option(
    "--base", default=TOY, show_default=True, metavar="MODEL", help=f"Base model; {REAL} is a real one."
)
@PORT
@KEEP
def command(base: str, port: int | None, keep: bool) -> None:
    """Fine-tune a model on a small table, and ask it three questions.

    luthier/tiny, a toy with random weights, learns the capitals of the world by heart, within a minute. Another base
    model is tuned on the answers of a bakery, within some minutes, and its answers are printed beside those that it
    gave before.
    """
    examples = next(folder for folder in FOLDERS if folder.exists())
    finish: Finish
    if base == TOY:
        options, finish = TuneOptions(file=examples / "capitals.csv", base=base), _ask_toy
    else:
        bakery = examples / "bakery.csv"
        options, finish = TuneOptions(file=bakery, base=base, hyperparameters=HYPERPARAMETERS), _ask_real
    run(options, port=port, keep=keep, finish=finish)


def _ask_toy(_: Client, model: ServedModel, options: TuneOptions, steps: StepPrinter) -> None:
    ask_three(model, options.file, steps)
    steps.console.print(f"  {TOY_NOTE}", soft_wrap=True, highlight=False)


def _ask_real(client: Client, model: ServedModel, _: TuneOptions, steps: StepPrinter) -> None:
    _print_side_by_side(client, model.finetune_id, steps.console)
    with steps.step("Three questions in other words than the table's, through the openai package"):
        for question in QUESTIONS:
            ask(model, question, steps.console)


def _print_side_by_side(client: Client, finetune_id: str, console: Console) -> None:
    """Print the outputs of the base model and of the fine-tuned one for some items, and how many are as expected."""
    samples = client.query(SAMPLES, id=finetune_id)["finetune"]["inferenceSamples"]
    table = Table("Question", "Base model", "Fine-tuned", "Expected", show_lines=True)
    for sample in samples:
        names = ("prompt", "baseOutput", "tunedOutput", "expected")
        table.add_row(*(escape((sample[name] or "").strip()) for name in names))
    console.print(table)
    right = {
        name: sum((sample[name] or "").strip() == sample["expected"].strip() for sample in samples)
        for name in ("baseOutput", "tunedOutput")
    }
    console.print(
        f"  answers to the letter: {right['baseOutput']} of {len(samples)} before, "
        f"{right['tunedOutput']} of {len(samples)} after"
    )
