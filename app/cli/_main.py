"""The command line: `luthier --help`. The module of a command is imported when the command runs."""

from importlib import import_module
from importlib.metadata import version

import click

from app.failures import Failure

COMMANDS = {
    "demo": "Fine-tune a model on a small table, and ask it three questions.",
    "tune": "Fine-tune a model on a table, chats or preference pairs, and put it behind an endpoint.",
    "up": "Run all servers on this machine until Ctrl-C.",
    "serve": "Run the API.",
    "worker": "Run a worker.",
    "models": "List the base models; add and remove your own.",
    "migrate": "Migrate the database to the newest revision.",
    "export-schema": "Print the GraphQL schema.",
    "runtime": "",
}
"""Each command and its summary; `runtime` is hidden, as only `luthier up` runs it."""


class Luthier(click.Group):
    """Imports commands when they are called, and prints a `Failure` as one sentence."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """The names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command with this name in `app/cli/commands/`."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"app.cli.commands.{cmd_name.replace('-', '_')}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The summaries, without an import of the commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, summary in COMMANDS.items() if summary])

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

    All state is in LUTHIER_HOME (default ./data). To use your own servers, set DATABASE_URL,
    S3_ENDPOINT_URL and S3_BUCKET with the usual AWS variables, or LLM_BASE_URL with LLM_API_KEY:
    `luthier up` does not start a server that is set.
    """
