"""add note

Revision ID: 8e5d2b4c7a10
Revises: d70b48e25f9c
Create Date: 2026-01-15 09:00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "8e5d2b4c7a10"
down_revision = "d70b48e25f9c"


def upgrade():
    op.add_column("items", sa.Column("note", sa.Text()))


def downgrade():
    op.drop_column("items", "note")
