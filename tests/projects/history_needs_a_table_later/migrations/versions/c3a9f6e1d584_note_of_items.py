"""note_of_items

Revision ID: c3a9f6e1d584
Revises: 8e5d2b4c7a10
Create Date: 2026-01-15 09:00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "c3a9f6e1d584"
down_revision = "8e5d2b4c7a10"


def upgrade():
    op.add_column("items", sa.Column("note", sa.Text()))


def downgrade():
    op.drop_column("items", "note")
