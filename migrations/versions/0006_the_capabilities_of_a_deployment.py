"""The capabilities of a deployment. Those of earlier deployments are unknown."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("deployments", sa.Column("capabilities", sa.ARRAY(sa.Text())))
