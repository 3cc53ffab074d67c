"""deleted rows are kept

Revision ID: e25c9f81b0d6
Revises: 58b1f6de9c03
Create Date: 2025-10-07 10:18:42.067741

"""
from typing import Sequence, Union

from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision: str = 'e25c9f81b0d6'
down_revision: Union[str, Sequence[str], None] = '58b1f6de9c03'
branch_labels: Union[str, Sequence[str], None] = None
depends_on: Union[str, Sequence[str], None] = None


def upgrade() -> None:
    """Upgrade schema."""
    op.add_column("projects", sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("work_items", sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    """Downgrade schema."""
    op.drop_column("work_items", "deleted_at")
    op.drop_column("projects", "deleted_at")
