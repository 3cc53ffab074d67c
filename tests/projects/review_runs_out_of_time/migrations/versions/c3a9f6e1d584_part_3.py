"""part 3

Revision ID: c3a9f6e1d584
Revises: 8e5d2b4c7a10
Create Date: 2026-01-13 09:00:00
"""

import time

import sqlalchemy as sa
from alembic import op

revision = "c3a9f6e1d584"
down_revision = "8e5d2b4c7a10"


def upgrade():
    time.sleep(1)
    op.create_table("part_3", sa.Column("id", sa.Integer(), primary_key=True))


def downgrade():
    op.drop_table("part_3")
