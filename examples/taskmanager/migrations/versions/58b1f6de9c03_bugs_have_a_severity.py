"""bugs have a severity

Revision ID: 58b1f6de9c03
Revises: a2e7c5140f8d
Create Date: 2025-03-11 14:22:10.725518

"""
from typing import Sequence, Union

from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision: str = '58b1f6de9c03'
down_revision: Union[str, Sequence[str], None] = 'a2e7c5140f8d'
branch_labels: Union[str, Sequence[str], None] = None
depends_on: Union[str, Sequence[str], None] = None


def upgrade() -> None:
    """Upgrade schema."""
    op.add_column("work_items", sa.Column("severity", sa.String(length=20), nullable=True))


def downgrade() -> None:
    """Downgrade schema."""
    op.drop_column("work_items", "severity")
