"""add price

Revision ID: 3
Revises: 0002_add_note.v1
Create Date: 2026-02-01 09:00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "3"
down_revision = "0002_add_note.v1"


def upgrade():
    op.add_column("items", sa.Column("price", sa.Integer()))


def downgrade():
    op.drop_column("items", "price")
