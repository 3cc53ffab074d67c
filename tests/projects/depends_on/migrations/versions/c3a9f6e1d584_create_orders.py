"""create orders

Revision ID: c3a9f6e1d584
Revises: 
Create Date: 2026-01-16 09:00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "c3a9f6e1d584"
down_revision = None
branch_labels = ("orders",)


def upgrade():
    op.create_table("orders", sa.Column("id", sa.Integer(), primary_key=True), sa.Column("sku", sa.String(20)))


def downgrade():
    op.drop_table("orders")
