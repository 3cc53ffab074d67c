"""contract

Revision ID: c3a9f6e1d584
Revises: 1f0c6a7b9d23
Create Date: 2026-01-15 09:00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "c3a9f6e1d584"
down_revision = "1f0c6a7b9d23"
branch_labels = ("contract".lower(),)


def upgrade():
    op.add_column("items", sa.Column("remark", sa.Text()))


def downgrade():
    op.drop_column("items", "remark")
