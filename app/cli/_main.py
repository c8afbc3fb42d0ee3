"""The command line: `luthier --help`. A command's module is imported when it is called, not before."""

from importlib import import_module
from importlib.metadata import version

import click

from app.failures import Failure

COMMANDS = {
    "demo": "The main job on the capitals of the world, and three questions.",
    "tune": "Fine-tune a model on a table and put it behind an endpoint.",
    "up": "Start everything that one machine needs, and stay until Ctrl-C.",
    "serve": "Run the API alone.",
    "worker": "Run a worker alone.",
    "migrate": "Bring the database up to date.",
    "export-schema": "Print the GraphQL schema.",
    "runtime": "",
}
"""Each command and what the overview says of it; `runtime` is for `luthier up` alone."""


class Luthier(click.Group):
    """Imports commands late, and answers what a person can mend with one sentence."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Every command, in the order that they are met."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """A command of `app/cli/commands/`."""
        if cmd_name not in COMMANDS:
            return None
        found: click.Command = import_module(f"app.cli.commands.{cmd_name.replace('-', '_')}").command
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The overview, which imports none of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, says) for name, says in COMMANDS.items() if says])

    def invoke(self, ctx: click.Context) -> object:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except Failure as failure:
            click.echo(str(failure), err=True)
            raise SystemExit(failure.exit_code) from None


@click.group(cls=Luthier, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(version("luthier"), prog_name="luthier")
def main() -> None:
    """Luthier: from a table to a fine-tuned model behind an OpenAI-compatible endpoint.

    All state is in LUTHIER_HOME (default ./data). To use servers of your own, set DATABASE_URL,
    S3_ENDPOINT_URL and S3_BUCKET with the usual AWS variables, or LLM_BASE_URL with LLM_API_KEY: what
    you name is not started.
    """
