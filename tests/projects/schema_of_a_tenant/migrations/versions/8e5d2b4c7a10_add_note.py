"""add note

Revision ID: 8e5d2b4c7a10
Revises: 1f0c6a7b9d23
Create Date: 2026-01-15 09:00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "8e5d2b4c7a10"
down_revision = "1f0c6a7b9d23"


def upgrade():
    op.add_column("items", sa.Column("note", sa.Text()))


def downgrade():
    op.drop_column("items", "note")
