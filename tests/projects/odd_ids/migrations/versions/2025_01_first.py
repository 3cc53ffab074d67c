"""create items

Revision ID: 2025.01.first
Revises: 
Create Date: 2026-02-01 09:00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "2025.01.first"
down_revision = None


def upgrade():
    op.create_table(
        "items",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("name", sa.String(50)),
    )


def downgrade():
    op.drop_table("items")
