"""add price

Revision ID: 1f0c6a7b9d23
Revises: 
Create Date: 2025-01-10 09:00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "1f0c6a7b9d23"
down_revision = None


def upgrade():
    op.add_column("items", sa.Column("price", sa.Numeric(10, 2)))


def downgrade():
    op.drop_column("items", "price")
