"""every item has a root

Revision ID: 8e5d2b4c7a10
Revises: 1f0c6a7b9d23
Create Date: 2026-01-15 09:00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "8e5d2b4c7a10"
down_revision = "1f0c6a7b9d23"


def upgrade():
    if op.get_bind().scalar(sa.text("SELECT count(*) FROM items WHERE root_id IS NULL")):
        raise RuntimeError("Some items have no root: run the program that gives them one first")


def downgrade():
    raise NotImplementedError("there is no way back")
