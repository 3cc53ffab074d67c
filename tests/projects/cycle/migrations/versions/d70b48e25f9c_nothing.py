"""nothing

Revision ID: d70b48e25f9c
Revises: c3a9f6e1d584
Create Date: 2026-01-17 09:00:00
"""

revision = "d70b48e25f9c"
down_revision = "c3a9f6e1d584"


def upgrade():
    pass


def downgrade():
    pass
