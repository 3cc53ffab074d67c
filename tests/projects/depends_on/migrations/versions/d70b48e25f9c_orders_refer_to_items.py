"""orders refer to items

Revision ID: d70b48e25f9c
Revises: c3a9f6e1d584
Create Date: 2026-01-17 09:00:00
"""

from alembic import op

revision = "d70b48e25f9c"
down_revision = "c3a9f6e1d584"
depends_on = "8e5d2b4c7a10"


def upgrade():
    op.create_foreign_key("fk_orders_sku", "orders", "items", ["sku"], ["sku"])


def downgrade():
    op.drop_constraint("fk_orders_sku", "orders", type_="foreignkey")
