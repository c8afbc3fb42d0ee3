"""The encoding of a document, and its readings where that is in doubt."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("documents", sa.Column("encoding", sa.Text(), nullable=True))
    readings = sa.Column(
        "encoding_readings", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False
    )
    op.add_column("documents", readings)
