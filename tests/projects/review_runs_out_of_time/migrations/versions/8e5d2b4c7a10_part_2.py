"""part 2

Revision ID: 8e5d2b4c7a10
Revises: 1f0c6a7b9d23
Create Date: 2026-01-12 09:00:00
"""

import time

import sqlalchemy as sa
from alembic import op

revision = "8e5d2b4c7a10"
down_revision = "1f0c6a7b9d23"


def upgrade():
    time.sleep(1)
    op.create_table("part_2", sa.Column("id", sa.Integer(), primary_key=True))


def downgrade():
    op.drop_table("part_2")
