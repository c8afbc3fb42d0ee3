"""Resolver of the installation's health."""

from domain.ports.health import Health
from resolvers.context import Context


async def check(context: Context) -> Health:
    """The state of each part; needs no viewer."""
    return await context.services.health()
