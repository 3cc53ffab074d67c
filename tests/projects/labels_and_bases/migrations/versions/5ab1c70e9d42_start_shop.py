"""start shop

Revision ID: 5ab1c70e9d42
Revises: 
Create Date: 2026-02-01 09:00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "5ab1c70e9d42"
down_revision = None
branch_labels = ("shop",)


def upgrade():
    op.create_table("shop_things", sa.Column("id", sa.Integer(), primary_key=True))


def downgrade():
    op.drop_table("shop_things")
