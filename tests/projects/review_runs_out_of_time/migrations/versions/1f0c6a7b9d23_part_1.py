"""part 1

Revision ID: 1f0c6a7b9d23
Revises: None
Create Date: 2026-01-11 09:00:00
"""

import time

import sqlalchemy as sa
from alembic import op

revision = "1f0c6a7b9d23"
down_revision = None


def upgrade():
    time.sleep(1)
    op.create_table("part_1", sa.Column("id", sa.Integer(), primary_key=True))


def downgrade():
    op.drop_table("part_1")
