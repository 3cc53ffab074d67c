"""change items

Revision ID: 8e5d2b4c7a10
Revises: 1f0c6a7b9d23
Create Date: 2026-01-15 09:00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "8e5d2b4c7a10"
down_revision = "1f0c6a7b9d23"


def upgrade():
    with op.batch_alter_table("items") as batch_op:
        batch_op.add_column(sa.Column("note", sa.Text()))
        batch_op.alter_column(
            "name",
            existing_type=sa.String(50),
            type_=sa.String(40),
        )


def downgrade():
    with op.batch_alter_table("items") as batch_op:
        batch_op.drop_constraint("a_name_of_no_constraint")
        batch_op.drop_column("note")
