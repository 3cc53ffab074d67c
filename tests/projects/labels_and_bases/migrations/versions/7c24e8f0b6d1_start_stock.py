"""start stock

Revision ID: 7c24e8f0b6d1
Revises: 
Create Date: 2026-02-01 09:00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "7c24e8f0b6d1"
down_revision = None
branch_labels = ("stock",)


def upgrade():
    op.create_table("stock_things", sa.Column("id", sa.Integer(), primary_key=True))


def downgrade():
    op.drop_table("stock_things")
