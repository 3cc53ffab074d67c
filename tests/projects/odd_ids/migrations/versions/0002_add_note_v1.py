"""add note

Revision ID: 0002_add_note.v1
Revises: 2025.01.first
Create Date: 2026-02-01 09:00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "0002_add_note.v1"
down_revision = "2025.01.first"


def upgrade():
    op.add_column("items", sa.Column("note", sa.Text()))


def downgrade():
    op.drop_column("items", "note")
