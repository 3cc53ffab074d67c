"""add note

Revision ID: e90f6d3b1a78
Revises: 5ab1c70e9d42
Create Date: 2026-02-01 09:00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "e90f6d3b1a78"
down_revision = "5ab1c70e9d42"


def upgrade():
    op.add_column("shop_things", sa.Column("note", sa.Text()))


def downgrade():
    op.drop_column("shop_things", "note")
