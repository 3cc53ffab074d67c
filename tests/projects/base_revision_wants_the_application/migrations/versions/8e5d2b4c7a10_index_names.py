"""index names

Revision ID: 8e5d2b4c7a10
Revises: 1f0c6a7b9d23
Create Date: 2026-01-15 09:00:00
"""

from alembic import op

revision = "8e5d2b4c7a10"
down_revision = "1f0c6a7b9d23"


def upgrade():
    with op.get_context().autocommit_block():
        op.create_index("ix_items_name", "items", ["name"], postgresql_concurrently=True)


def downgrade():
    with op.get_context().autocommit_block():
        op.drop_index("ix_items_name", table_name="items", postgresql_concurrently=True)
