"""create items

Revision ID: 1f0c6a7b9d23
Revises: 
Create Date: 2025-01-10 09:00:00
"""

from alembic import op
from shop.models import Base

revision = "1f0c6a7b9d23"
down_revision = None


def upgrade():
    Base.metadata.create_all(op.get_bind())


def downgrade():
    Base.metadata.drop_all(op.get_bind())
