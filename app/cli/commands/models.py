"""`luthier models`: the base models that are at hand, and those of the operator's own."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import click

from app.failures import Failure
from app.local.home import chosen_home
from app.local.servers import reached_servers
from app.migrations import catalog, migrate, store_catalog
from app.settings import Settings, read
from app.wiring import wire
from domain.base_models import BaseModel, ModelSource
from domain.errors import DomainError
from domain.model_catalog import UNVERIFIED
from domain.services import Services
from domain.use_cases import local_models
from domain.use_cases.local_models import ListedModel

Result = TypeVar("Result")


class ModelsFailed(Failure):
    """The command cannot do what it was asked for."""


@click.group("models", invoke_without_command=True)
@click.option(
    "--all", "show_all", is_flag=True, help="List also the models whose files have not been fetched yet."
)
@click.pass_context
def command(context: click.Context, show_all: bool) -> None:
    """List the base models whose files are on this machine or in the bucket; add and remove your own.

    Works with the servers of a running `luthier up` or of the environment, or starts them while it runs.
    """
    if context.invoked_subcommand is None:
        models = _run(local_models.listed)
        at_hand = [model for model in models if model.is_on_disk or model.is_in_bucket]
        _print(models if show_all else at_hand)
        if not show_all:
            click.echo(
                f"{len(models) - len(at_hand)} more can be fetched: `luthier models --all` lists them."
            )


@command.command("add")
@click.argument("source", type=click.Path(path_type=Path, exists=True, resolve_path=True))
@click.option("--name", help="The name to fine-tune it by; that of the file or the folder by default.")
def add(source: Path, name: str | None) -> None:
    """Make a base model of a GGUF file or of a folder with safetensors."""

    async def work(services: Services) -> BaseModel:
        return await local_models.add(services, source, name, click.echo)

    base = _run(work)
    click.echo(f"Added {base.model_id}: {_parameters(base)}, {_size(base.size_bytes)}.")
    for warning in base.warnings:
        click.echo(f"Warning: {warning}")


@command.command("remove")
@click.argument("name")
def remove(name: str) -> None:
    """Delete a base model that no fine-tune uses; of one of the catalog, the files alone."""

    async def work(services: Services) -> BaseModel:
        return await local_models.remove(services, name)

    base = _run(work)
    is_entry = base.source is ModelSource.CATALOG
    click.echo(f"Removed the files of {base.model_id}." if is_entry else f"Removed {base.model_id}.")


def _run(work: Callable[[Services], Awaitable[Result]]) -> Result:
    async def run() -> Result:
        async with _services() as services:
            return await work(services)

    try:
        return asyncio.run(run())
    except DomainError as error:
        raise ModelsFailed(error.message) from error


@asynccontextmanager
async def _services() -> AsyncIterator[Services]:
    async with reached_servers(chosen_home(), os.environ) as variables:
        settings = read(Settings, **{name.lower(): value for name, value in variables.items()})
        await asyncio.to_thread(migrate, settings.database_url)
        await store_catalog(settings.database_url, catalog(_own_catalog()))
        async with wire(settings) as wiring:
            yield wiring.services


def _own_catalog() -> Path | None:
    named = os.environ.get("MODEL_CATALOGUE")
    return Path(named) if named else None


def _print(models: list[ListedModel]) -> None:
    width = max((len(model.base.model_id) for model in models), default=0)
    for model in models:
        base = model.base
        facts = f"{base.source:<12} {_parameters(base):>8} {_size(model.size_bytes):>8}  {_at_hand(model)}"
        click.echo(f"{base.model_id:<{width}}  {facts}")
        for warning in base.warnings:
            if warning != UNVERIFIED:
                click.echo(f"  Warning: {warning}")
    if unverified := sum(UNVERIFIED in model.base.warnings for model in models):
        click.echo(f"The facts of {unverified} of these models are from their publishers' documentation.")


def _at_hand(model: ListedModel) -> str:
    places = [
        name for name, is_there in (("here", model.is_on_disk), ("bucket", model.is_in_bucket)) if is_there
    ]
    return ", ".join(places) or "to be fetched"


def _parameters(base: BaseModel) -> str:
    number = base.num_parameters
    if number is None:
        return "?"
    return f"{number / 1e9:.1f} B" if number >= 1e9 else f"{number / 1e6:.1f} M"


def _size(size: int | None) -> str:
    if size is None:
        return ""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
