"""`luthier tune`."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import click
import httpx
from rich.console import Console

from app.cli.api_client import ApiError, Client
from app.cli.main_job import Order, Story, sign_in, tune
from app.cli.questions import ask_three, where_next
from app.cli.signals import Interrupts, interruptible
from app.local.home import chosen_home
from app.local.supervisor import WRAPPER
from app.program import PROGRAM

UP_S = 90.0
USUAL_PORT = 8000
PORT = click.option(
    "--port", type=int, help="The port of the server that this starts, where none is up; 8000 or a free one."
)
KEEP = click.option("--keep", is_flag=True, help="Leave running what this started.")


@click.command("tune")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--input", "input_field", metavar="FIELD", help="The column that is asked.")
@click.option("--output", "output_field", metavar="FIELD", help="The column that is learned.")
@click.option("--base", default="luthier/tiny", show_default=True, metavar="MODEL", help="The base model.")
@click.option("--name", help="The project's name; the file's when not given.")
@click.option(
    "--epochs", type=float, help="How often all rows are seen; the base model's default when not given."
)
@PORT
@KEEP
def command(
    file: Path,
    input_field: str | None,
    output_field: str | None,
    base: str,
    name: str | None,
    epochs: float | None,
    port: int | None,
    keep: bool,
) -> None:
    """Fine-tune a model on FILE (CSV or JSON Lines) and put it behind an endpoint.

    Uses the server that is up on LUTHIER_HOME, or starts one and stops it again. With LUTHIER_TOKEN it
    acts as that account, else as the home's own.
    """
    order = Order(file=file, input=input_field, output=output_field, base=base, name=name, epochs=epochs)
    run(order, port=port, keep=keep, questions=False)


def run(order: Order, *, port: int | None, keep: bool, questions: bool) -> None:
    """The main job, told on the terminal; raises Failure with the step that failed, or the signal that came."""
    started = time.perf_counter()
    story = Story(Console(highlight=False))
    token = os.environ.get("LUTHIER_TOKEN")
    with (
        interruptible() as interrupts,
        _server(story, interrupts, port=port, keep=keep) as url,
        Client(url, token) as client,
    ):
        if not token:
            with story.step("Account"):
                sign_in(client, chosen_home())
        served = tune(client, order, story)
        if questions:
            ask_three(served, order.file, story)
        story.console.print(f"\nAll of it took {time.perf_counter() - started:.0f} s.")
        where_next(served, url, story.console)


@contextmanager
def _server(story: Story, interrupts: Interrupts, *, port: int | None, keep: bool) -> Iterator[str]:
    """The URL of the home's server: the one that is up, or one started for this and stopped whatever happens.

    With `keep` it stays up, but only when everything went well.
    """
    if (url := _running()) is not None:
        story.console.print(f"Using the Luthier that is up on {url}")
        yield url
        return
    with tempfile.TemporaryFile("w+") as output, ExitStack() as started:
        with story.step("Servers"):
            with interrupts.held():
                child = _start(output, _usual_or_free() if port is None else port, keep=keep)
                started.callback(_stop, child, interrupts)
            url = _wait_up(child, output)
        yield url
        if keep:
            started.pop_all()
    _tell_end(child, story, url, keep=keep)


def _start(output: IO[str], port: int, *, keep: bool) -> "subprocess.Popen[bytes]":
    """`luthier up`, which gets SIGTERM when this process is killed, unless it is to stay."""
    fate = (str(os.getpid()), "0" if keep else str(int(signal.SIGTERM)), "-")
    return subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-I", "-S", str(WRAPPER), *fate, *PROGRAM, "up", "--port", str(port)],
        stdout=output,
        stderr=output,
        start_new_session=True,  # Ctrl-C in the terminal is for this process; it then stops that one
    )


def _stop(child: "subprocess.Popen[bytes]", interrupts: Interrupts) -> None:
    with interrupts.held():
        child.terminate()
        child.wait()


def _port_of(url: str) -> str:
    """How `luthier up` is told the port of a URL; nothing for its usual one."""
    port = httpx.URL(url).port
    return "" if port == USUAL_PORT else f" --port {port}"


def _tell_end(child: "subprocess.Popen[bytes]", story: Story, url: str, *, keep: bool) -> None:
    said = (
        f"Luthier stays up as process {child.pid}; `kill {child.pid}` stops it."
        if keep
        else f"Stopped what this started. After `luthier up{_port_of(url)}` all of the above answers again."
    )
    story.console.print(f"\n{said}", soft_wrap=True)


def _usual_or_free() -> int:
    """The port of `luthier up`, or 0, which takes a free one, where that is taken."""
    with socket.socket() as probe:
        return 0 if probe.connect_ex(("127.0.0.1", USUAL_PORT)) == 0 else USUAL_PORT


def _running() -> str | None:
    """Where the home's `luthier up` answers, if it does."""
    try:
        url = str(json.loads((chosen_home() / "up.json").read_text())["url"])
        return url if httpx.get(f"{url}/health", timeout=5).is_success else None
    except (OSError, ValueError, KeyError, httpx.HTTPError):
        return None


def _wait_up(child: "subprocess.Popen[bytes]", output: IO[str]) -> str:
    """The URL once everything is ready; raises ApiError with what `up` said when it ends instead."""
    deadline = time.monotonic() + UP_S
    while time.monotonic() < deadline and child.poll() is None:
        if (url := _running()) is not None:
            return url
        time.sleep(0.05)
    output.seek(0)
    raise ApiError(output.read().strip() or "`luthier up` did not become ready.")
