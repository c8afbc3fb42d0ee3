"""`luthier tune`."""

import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import click
import httpx
from rich.console import Console

from app.cli.api_client import ApiError, Client
from app.cli.questions import print_next_steps
from app.cli.signals import SignalHandler, handle_signals
from app.cli.table_steps import TuneOptions
from app.cli.tune_steps import ServedModel, StepPrinter, sign_in, tune
from app.local.home import chosen_home
from app.program import PROGRAM, child_command

START_TIMEOUT_S = 90.0
DEFAULT_PORT = 8000
PORT = click.option(
    "--port",
    type=int,
    help="Port of the server that this command starts, where none runs; default: 8000, or a free one.",
)
Finish = Callable[[Client, ServedModel, TuneOptions, StepPrinter], None]
"""What is done with a deployed model before the command ends."""
KEEP = click.option("--keep", is_flag=True, help="Leave the server running that this command started.")


@click.command("tune")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--input", "input_field", metavar="FIELD", help="Column of the prompts; default: the first of two."
)
@click.option(
    "--output",
    "output_field",
    metavar="FIELD",
    help="Column of the expected answers; default: the second of two.",
)
@click.option(
    "--encoding", metavar="NAME", help="Encoding of FILE, such as windows-1252; default: the detected one."
)
@click.option(
    "--system",
    metavar="TEXT",
    help="System prompt that the model is trained behind, and that it gets where a request has none; "
    "a system message of a conversation of FILE wins.",
)
@click.option("--base", default="luthier/tiny", show_default=True, metavar="MODEL", help="Base model.")
@click.option("--name", help="Name of the project; default: the name of the file.")
@click.option("--epochs", type=float, help="Number of training epochs; default: that of the base model.")
@click.option(
    "--learning-rate", type=float, metavar="RATE", help="Peak learning rate; default: that of the base model."
)
@click.option("--deploy-anyway", is_flag=True, help="Deploy the model also when its GGUF failed parity.")
@PORT
@KEEP
def command(
    file: Path,
    input_field: str | None,
    output_field: str | None,
    encoding: str | None,
    system: str | None,
    base: str,
    name: str | None,
    epochs: float | None,
    learning_rate: float | None,
    deploy_anyway: bool,
    port: int | None,
    keep: bool,
) -> None:
    """Fine-tune a model on FILE and put it behind an endpoint.

    FILE is a table of prompts and answers (CSV, JSON Lines or a JSON array), or has conversations or preference pairs in
    the format of OpenAI, Alpaca, ShareGPT or TRL: the format is recognised. Preference pairs are trained on with DPO.

    A model whose GGUF answers differently from the fine-tuned model (parity) is not deployed, and the exit code
    is 1.

    Uses the server that runs on LUTHIER_HOME, or starts one and stops it at the end. Signs in with
    LUTHIER_TOKEN, or as the account of the home.
    """
    options = TuneOptions(
        file=file,
        input=input_field,
        output=output_field,
        encoding=encoding,
        system=system,
        base=base,
        name=name,
        epochs=epochs,
        learning_rate=learning_rate,
        deploy_anyway=deploy_anyway,
    )
    run(options, port=port, keep=keep)


def run(options: TuneOptions, *, port: int | None, keep: bool, finish: Finish | None = None) -> None:
    """Run and print all steps, `finish` as the last; raises `StepFailed`, or `Stopped` for a signal."""
    started = time.perf_counter()
    steps = StepPrinter(Console(highlight=False))
    token = os.environ.get("LUTHIER_TOKEN")
    with (
        handle_signals() as signals,
        _server(steps, signals, port=port, keep=keep) as url,
        Client(url, token) as client,
    ):
        if not token:
            with steps.step("Account"):
                sign_in(client, chosen_home())
        model = tune(client, options, steps)
        if finish is not None:
            finish(client, model, options, steps)
        steps.console.print(f"\nFinished in {time.perf_counter() - started:.0f} s.")
        print_next_steps(model, url, steps.console)


@contextmanager
def _server(steps: StepPrinter, signals: SignalHandler, *, port: int | None, keep: bool) -> Iterator[str]:
    """The URL of the home's server: a running one, or one that is started and stopped in any case.

    With `keep` it is left running, unless a step fails.
    """
    if (url := _running_url()) is not None:
        steps.console.print(f"Using the Luthier that is up on {url}")
        yield url
        return
    with tempfile.TemporaryFile("w+") as output, ExitStack() as cleanup:
        with steps.step("Servers"):
            with signals.deferred():
                child = _start(output, _default_or_free_port() if port is None else port, keep=keep)
                cleanup.callback(_stop, child, signals)
            url = _wait_until_ready(child, output)
        yield url
        if keep:
            cleanup.pop_all()
    _print_server_state(child, steps, url, keep=keep)


def _start(output: IO[str], port: int, *, keep: bool) -> "subprocess.Popen[bytes]":
    """Start `luthier up`; without `keep` it gets SIGTERM when this process dies."""
    return subprocess.Popen(  # noqa: S603 - our own command
        child_command((*PROGRAM, "up", "--port", str(port)), death_signal=0 if keep else signal.SIGTERM),
        stdout=output,
        stderr=output,
        start_new_session=True,  # Ctrl-C in the terminal reaches this process only, which stops the child
    )


def _stop(child: "subprocess.Popen[bytes]", signals: SignalHandler) -> None:
    with signals.deferred():
        child.terminate()
        child.wait()


def _port_option(url: str) -> str:
    """The option `--port` for the port of a URL, empty for the default."""
    port = httpx.URL(url).port
    return "" if port == DEFAULT_PORT else f" --port {port}"


def _print_server_state(
    child: "subprocess.Popen[bytes]", steps: StepPrinter, url: str, *, keep: bool
) -> None:
    text = (
        f"Luthier is still running as process {child.pid}; `kill {child.pid}` stops it."
        if keep
        else f"Stopped the servers. After `luthier up{_port_option(url)}` the model answers again."
    )
    steps.console.print(f"\n{text}", soft_wrap=True)


def _default_or_free_port() -> int:
    """The default port, or 0 (a free one) where it is in use."""
    with socket.socket() as probe:
        return 0 if probe.connect_ex(("127.0.0.1", DEFAULT_PORT)) == 0 else DEFAULT_PORT


def _running_url() -> str | None:
    """The URL of the `luthier up` that runs on the home; None where none answers."""
    try:
        url = str(json.loads((chosen_home() / "up.json").read_text())["url"])
        return url if httpx.get(f"{url}/health", timeout=5).is_success else None
    except (OSError, ValueError, KeyError, httpx.HTTPError):
        return None


def _wait_until_ready(child: "subprocess.Popen[bytes]", output: IO[str]) -> str:
    """The URL once `luthier up` is ready; raises `ApiError` with its output when it ends before."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and child.poll() is None:
        if (url := _running_url()) is not None:
            return url
        time.sleep(0.05)
    output.seek(0)
    raise ApiError(output.read().strip() or "`luthier up` did not become ready.")
