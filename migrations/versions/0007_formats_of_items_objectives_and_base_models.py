"""The format of a dataset's items, the objective of a fine-tune, and where a base model's weights came from."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

ADDED = {
    "documents": (
        sa.Column("import_format", sa.Text()),
        sa.Column("item_format", sa.Text()),
    ),
    "datasets": (
        sa.Column("item_format", sa.Text(), server_default="PROMPT_COMPLETION", nullable=False),
        sa.Column("system_prompt", sa.Text()),
    ),
    "items": (sa.Column("search_text", sa.Text()),),
    "finetunes": (
        sa.Column("base_model_revision", sa.Text()),
        sa.Column("base_model_sha256", sa.Text()),
        sa.Column("objective", sa.Text(), server_default="SFT", nullable=False),
    ),
    "training_points": (
        sa.Column("token_accuracy", sa.Double()),
        sa.Column("reward_margin", sa.Double()),
        sa.Column("reward_accuracy", sa.Double()),
    ),
    "base_models": (
        sa.Column("revision", sa.Text()),
        sa.Column("sha256", sa.Text()),
        sa.Column("size_bytes", sa.BigInteger()),
        sa.Column("last_used_at", sa.DateTime(timezone=True)),
    ),
}


def upgrade() -> None:
    for table, columns in ADDED.items():
        for column in columns:
            op.add_column(table, column)
    op.create_index("ix_base_models_name_id", "base_models", ["name", "id"])
