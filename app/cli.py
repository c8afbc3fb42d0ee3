"""The command line: `luthier --help`."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import httpx
import uvicorn
from rich.console import Console
from strawberry.printer import print_schema

from app import tune as main_job
from app import worker as worker_process
from app.asgi import application
from app.client import ApiError, Client
from app.embedded import PROGRAM
from app.embedded import up as run_up
from app.logs import configure
from app.migrations import keep_catalogue
from app.migrations import migrate as run_migrations
from app.settings import SettingsError, read_settings
from app.supervisor import StartError
from app.wiring import VERSION, storage_of
from infra.runtime.server import serve as serve_models
from schema.root import schema

UP_S = 90.0
EXAMPLE = Path(__file__).parents[1] / "examples" / "capitals.csv"


class Sentences(click.Group):
    """Answers what a person can mend with one sentence in place of a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except StartError as error:
            click.echo(str(error), err=True)
            raise SystemExit(error.exit_code) from None
        except (SettingsError, ApiError, main_job.StepFailed) as error:
            click.echo(str(error), err=True)
            raise SystemExit(1) from None


def _home() -> Path:
    return Path(os.environ.get("LUTHIER_HOME", "data")).absolute()


@click.group(
    cls=Sentences, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(VERSION)
def main() -> None:
    """Luthier: from a table to a fine-tuned model behind an OpenAI-compatible endpoint.

    All state is in LUTHIER_HOME (default ./data). To use servers of your own, set DATABASE_URL,
    S3_ENDPOINT_URL and S3_BUCKET with the usual AWS variables, or LLM_BASE_URL with LLM_API_KEY: what
    you name is not started.
    """


@main.command()
@click.option("--port", default=8000, show_default=True, help="The API's port; 0 takes a free one.")
def up(port: int) -> None:
    """Start everything that one machine needs, and stay until Ctrl-C."""
    raise SystemExit(asyncio.run(run_up(_home(), port=port, environ=os.environ, announce=_say_up)))


def _say_up(url: str) -> None:
    click.echo(f"Luthier is up on {url}  (GraphQL: {url}/graphql, stop with Ctrl-C)")


@main.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--input", "input_field", metavar="FIELD", help="The column that is asked.")
@click.option("--output", "output_field", metavar="FIELD", help="The column that is learned.")
@click.option("--base", default="luthier/tiny", show_default=True, metavar="MODEL", help="The base model.")
@click.option("--name", help="The project's name; the file's when not given.")
@click.option(
    "--epochs", type=float, help="How often all rows are seen; the base model's default when not given."
)
@click.option("--port", default=0, help="The port of the server that this starts, where none is up.")
@click.option("--keep", is_flag=True, help="Leave running what this started.")
def tune(
    file: Path,
    input_field: str | None,
    output_field: str | None,
    base: str,
    name: str | None,
    epochs: float | None,
    port: int,
    keep: bool,
) -> None:
    """Fine-tune a model on FILE (CSV or JSON Lines) and put it behind an endpoint."""
    order = main_job.Order(
        file=file, input=input_field, output=output_field, base=base, name=name, epochs=epochs
    )
    _tune(order, port=port, keep=keep, questions=False)


@main.command()
@click.option("--port", default=0, help="The port of the server that this starts, where none is up.")
@click.option("--keep", is_flag=True, help="Leave running what this started.")
def demo(port: int, keep: bool) -> None:
    """The main job on the capitals of the world, and three questions."""
    _tune(main_job.Order(file=EXAMPLE, name="capitals"), port=port, keep=keep, questions=True)


def _tune(order: main_job.Order, *, port: int, keep: bool, questions: bool) -> None:
    started = time.perf_counter()
    story = main_job.Story(Console(highlight=False))
    with _server(story, port=port, keep=keep) as url, Client(url, os.environ.get("LUTHIER_TOKEN")) as client:
        if not os.environ.get("LUTHIER_TOKEN"):
            with story.step("Account"):
                main_job.sign_in(client, _home())
        served = main_job.tune(client, order, story)
        if questions:
            main_job.ask_three(served, order.file, story)
        story.console.print(f"\nAll of it took {time.perf_counter() - started:.0f} s.")
        main_job.where_next(served, url, story.console)


@contextmanager
def _server(story: main_job.Story, *, port: int, keep: bool) -> Iterator[str]:
    """The URL of the home's server: the one that is up, or one started for this."""
    if (url := _running()) is not None:
        story.console.print(f"Using the Luthier that is up on {url}")
        yield url
        return
    with tempfile.TemporaryFile("w+") as output, story.step("Servers"):
        child = subprocess.Popen(  # noqa: S603 - our own command
            [*PROGRAM, "up", "--port", str(port)], stdout=output, stderr=output, start_new_session=True
        )
        url = _wait_up(child, output)
    try:
        yield url
    except BaseException:
        keep = False
        raise
    finally:
        _leave(child, story, keep=keep)


def _leave(child: "subprocess.Popen[bytes]", story: main_job.Story, *, keep: bool) -> None:
    if keep:
        story.console.print(f"\nLuthier stays up as process {child.pid}; `kill {child.pid}` stops it.")
        return
    child.terminate()
    child.wait()
    story.console.print("\nStopped what this started; `luthier up` has the model answering again.")


def _running() -> str | None:
    """Where the home's `luthier up` answers, if it does."""
    try:
        url = str(json.loads((_home() / "up.json").read_text())["url"])
        return url if httpx.get(f"{url}/health", timeout=5).is_success else None
    except (OSError, ValueError, KeyError, httpx.HTTPError):
        return None


def _wait_up(child: "subprocess.Popen[bytes]", output: object) -> str:
    """The URL once everything is ready; raises ApiError with what `up` said when it ends instead."""
    deadline = time.monotonic() + UP_S
    while time.monotonic() < deadline and child.poll() is None:
        if (url := _running()) is not None:
            return url
        time.sleep(0.05)
    child.terminate()
    child.wait()
    output.seek(0)  # type: ignore[attr-defined]
    raise ApiError(output.read().strip() or "`luthier up` did not become ready.")  # type: ignore[attr-defined]


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=8000, show_default=True, help="The port to listen on.")
def serve(host: str, port: int) -> None:
    """Run the API alone."""
    uvicorn.run(
        application(read_settings()),
        host=host,
        port=port,
        log_config=configure("api"),
        access_log=False,
        timeout_graceful_shutdown=2,  # an open event stream would hold the stop for as long as it likes
        ws_max_size=1_048_576,
        server_header=False,
    )


@main.command()
def worker() -> None:
    """Run a worker alone; any number may run, on any number of machines."""
    configure("worker")
    asyncio.run(worker_process.run(read_settings()))


@main.command()
def migrate() -> None:
    """Bring the database up to date."""
    settings = read_settings()
    run_migrations(settings.database_url)
    asyncio.run(keep_catalogue(settings.database_url))


@main.command("export-schema")
def export_schema() -> None:
    """Print the GraphQL schema."""
    click.echo(print_schema(schema))


@main.command(hidden=True)
def runtime() -> None:
    """Run the embedded model runtime; `luthier up` does."""
    configure("runtime")
    settings = read_settings()
    if not settings.luthier_runtime_url or not settings.luthier_runtime_token:
        raise SettingsError(
            "LUTHIER_RUNTIME_URL and LUTHIER_RUNTIME_TOKEN are not set; `luthier up` sets them."
        )
    port = httpx.URL(settings.luthier_runtime_url).port or 0
    folder = settings.models_folder / "loaded"
    asyncio.run(serve_models(port, settings.luthier_runtime_token, storage_of(settings), folder))


if __name__ == "__main__":
    sys.exit(main())
