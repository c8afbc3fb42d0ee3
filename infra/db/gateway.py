"""Notifications to the gateways that keys, deployments or models changed."""

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

CHANNEL = "gateway_changed"


async def notify(session: AsyncSession) -> None:
    """Have every gateway refresh its table of keys, once this transaction has committed."""
    await session.execute(select(func.pg_notify(CHANNEL, "")))
