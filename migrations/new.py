"""`python -m migrations.new "What changes"`: the next revision, from the difference between tables and migrations."""

import asyncio
import sys
import tempfile
from pathlib import Path

from alembic import command

from app.local.servers import servers
from app.migrations import config, migrate


async def main(message: str) -> None:
    """Compare on a temporary database."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)  # PostgreSQL's own user passes through
        async with servers(Path(folder) / "home", durable=False) as variables:
            url = variables["DATABASE_URL"]
            await asyncio.to_thread(migrate, url)
            versions = len(list((Path(__file__).parent / "versions").glob("0*.py")))
            revision = f"{versions + 1:04}"
            await asyncio.to_thread(
                command.revision, config(url), message=message, autogenerate=True, rev_id=revision
            )


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
