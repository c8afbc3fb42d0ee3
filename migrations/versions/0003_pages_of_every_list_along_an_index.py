"""Pages of every list along an index: the parent first, then the order of the list.

They are made in one transaction, so who writes to these tables meanwhile waits until the last one is there. None of
the tables is large: items and events, which are, had theirs before.
"""

from alembic import op

revision = "0003"
down_revision = "0002"

ADDED = (
    ("api_keys", "owner_id"),
    ("api_keys", "deployment_id"),
    ("datasets", "project_id"),
    ("deployments", "project_id"),
    ("deployments", "finetune_id"),
    ("documents", "project_id"),
    ("finetunes", "project_id"),
    ("finetunes", "dataset_id"),
    ("jobs", "project_id"),
    ("projects", "owner_id"),
)
REPLACED = (
    ("api_keys", "owner_id"),
    ("api_keys", "deployment_id"),
    ("deployments", "finetune_id"),
    ("documents", "project_id"),
    ("finetunes", "dataset_id"),
    ("jobs", "project_id"),
    ("projects", "owner_id"),
)


def upgrade() -> None:
    for table, column in ADDED:
        op.create_index(f"ix_{table}_{column}_id", table, [column, "id"])
    for table, column in REPLACED:
        op.drop_index(f"ix_{table}_{column}", table_name=table)
