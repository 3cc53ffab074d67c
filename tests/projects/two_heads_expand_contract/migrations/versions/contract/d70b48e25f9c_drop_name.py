"""drop name

Revision ID: d70b48e25f9c
Revises: c3a9f6e1d584
Create Date: 2026-01-17 09:00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "d70b48e25f9c"
down_revision = "c3a9f6e1d584"
depends_on = "8e5d2b4c7a10"


def upgrade():
    op.drop_column("items", "name")


def downgrade():
    op.add_column("items", sa.Column("name", sa.String(50)))
