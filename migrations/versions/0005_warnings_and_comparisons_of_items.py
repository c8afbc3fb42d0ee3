"""Warnings of items, and what items are compared by.

Items may be many, so no lock on their table is held for longer than its definition takes to change: the fingerprints
are computed in batches, each in a transaction of its own. A run that was stopped goes on where it stopped.

The index on `fingerprint` goes: items are compared by several, and reading them all takes no longer than that index
and the others would, which every import had to maintain.

`fingerprint` stays as it is. It would be another one only for texts that are not in NFC, or whose case folds to such;
a later item may not be recognized as a near duplicate of theirs.
"""

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"

BATCH = 20_000
WHITE_SPACE = (
    "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
FINGERPRINT = """substring(sha256(convert_to(
    normalize(rtrim("values"[array_position(field_names, {field})], :white_space), NFC), 'UTF8')) for 16)"""
FILL = f"""
update items set input_fingerprint = {FINGERPRINT.format(field="input_field")},
    output_fingerprint = {FINGERPRINT.format(field="output_field")}
from datasets where datasets.id = dataset_id and input_fingerprint is null
"""  # noqa: S608 - of constants
FILL_RANGE = f"{FILL} and items.id > :after and items.id <= :last"
LAST_OF_BATCH = """
select id from (select id from items where id > :after order by id limit :size) batch order by id desc limit 1
"""

ADDED: "tuple[sa.Column[Any], ...]" = (
    sa.Column("is_near_duplicate", sa.Boolean(), server_default=sa.false(), nullable=False),
    sa.Column("is_contradiction", sa.Boolean(), server_default=sa.false(), nullable=False),
    sa.Column("warnings", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
    sa.Column("input_fingerprint", sa.LargeBinary()),
    sa.Column("output_fingerprint", sa.LargeBinary()),
)


def upgrade() -> None:
    for column in ADDED:
        op.add_column("items", column, if_not_exists=True)
    with op.get_context().autocommit_block():
        fill()
    op.get_bind().execute(sa.text(FILL), {"white_space": WHITE_SPACE})  # what was added meanwhile
    for name in ("input_fingerprint", "output_fingerprint"):
        op.alter_column("items", name, nullable=False)
    op.drop_index("ix_items_dataset_id_fingerprint", table_name="items")


def fill() -> None:
    """Compute the fingerprints of all items, in the order of their ids."""
    after = UUID(int=0)
    while last := op.get_bind().scalar(sa.text(LAST_OF_BATCH), {"after": after, "size": BATCH}):
        op.get_bind().execute(sa.text(FILL_RANGE), {"after": after, "last": last, "white_space": WHITE_SPACE})
        after = last
