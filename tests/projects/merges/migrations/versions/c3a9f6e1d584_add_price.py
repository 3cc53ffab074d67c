"""add price

Revision ID: c3a9f6e1d584
Revises: 1f0c6a7b9d23
Create Date: 2026-01-16 09:00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "c3a9f6e1d584"
down_revision = "1f0c6a7b9d23"


def upgrade():
    op.add_column("items", sa.Column("price", sa.Integer()))


def downgrade():
    op.drop_column("items", "price")
