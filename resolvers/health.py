"""Whether the installation is well."""

from domain.ports.health import Health
from resolvers.context import Context


async def check(context: Context) -> Health:
    """How each part is now; anyone may ask."""
    return await context.services.health()
