"""add subject

Revision ID: 0d7e4c2a95f6
Revises: b3d95a16f07e
Create Date: 2026-02-01 09:00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "0d7e4c2a95f6"
down_revision = "b3d95a16f07e"


def upgrade():
    op.add_column("mail_things", sa.Column("subject", sa.Text()))


def downgrade():
    op.drop_column("mail_things", "subject")
