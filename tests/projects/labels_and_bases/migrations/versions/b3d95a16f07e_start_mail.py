"""start mail

Revision ID: b3d95a16f07e
Revises: 
Create Date: 2026-02-01 09:00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "b3d95a16f07e"
down_revision = None
branch_labels = ("mail",)


def upgrade():
    op.create_table("mail_things", sa.Column("id", sa.Integer(), primary_key=True))


def downgrade():
    op.drop_table("mail_things")
