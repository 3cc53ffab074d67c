"""start of contract

Revision ID: c3a9f6e1d584
Revises: 
Create Date: 2026-01-16 09:00:00
"""

revision = "c3a9f6e1d584"
down_revision = None
branch_labels = ("contract",)
depends_on = "1f0c6a7b9d23"


def upgrade():
    pass


def downgrade():
    pass
