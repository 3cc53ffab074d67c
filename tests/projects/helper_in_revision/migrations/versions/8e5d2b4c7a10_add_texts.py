"""add texts

Revision ID: 8e5d2b4c7a10
Revises: 1f0c6a7b9d23
Create Date: 2026-01-15 09:00:00
"""

import sqlalchemy as sa
from alembic import op
from shop.audit import audit

revision = "8e5d2b4c7a10"
down_revision = "1f0c6a7b9d23"

def add_text(name):
    op.add_column("items", sa.Column(name, sa.Text()))


def upgrade():
    for name in ("note", "remark"):
        add_text(name)
    audit(op, "items")


def downgrade():
    op.drop_column("items", "audited_at")
    op.drop_column("items", "remark")
    op.drop_column("items", "note")
