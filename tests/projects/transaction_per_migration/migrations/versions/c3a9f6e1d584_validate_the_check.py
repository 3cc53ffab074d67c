"""validate the check

Revision ID: c3a9f6e1d584
Revises: 8e5d2b4c7a10
Create Date: 2026-01-16 09:00:00
"""

from alembic import op

revision = "c3a9f6e1d584"
down_revision = "8e5d2b4c7a10"


def upgrade():
    op.execute("ALTER TABLE items VALIDATE CONSTRAINT name_is_known")


def downgrade():
    pass
