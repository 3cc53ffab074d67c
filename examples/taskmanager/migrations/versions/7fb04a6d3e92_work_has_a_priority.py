"""work has a priority

Revision ID: 7fb04a6d3e92
Revises: e25c9f81b0d6
Create Date: 2026-02-16 11:50:27.884639

"""
from typing import Sequence, Union

from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision: str = '7fb04a6d3e92'
down_revision: Union[str, Sequence[str], None] = 'e25c9f81b0d6'
branch_labels: Union[str, Sequence[str], None] = None
depends_on: Union[str, Sequence[str], None] = None


def upgrade() -> None:
    """Upgrade schema."""
    op.add_column("work_items", sa.Column("priority", sa.String(length=10), nullable=True))
    op.execute("UPDATE work_items SET priority = 'normal' WHERE priority IS NULL")
    op.alter_column("work_items", "priority", existing_type=sa.String(length=10), nullable=False)


def downgrade() -> None:
    """Downgrade schema."""
    op.drop_column("work_items", "priority")
