"""estimates in hours

Revision ID: d48f1e7ca53b
Revises: 93d6b2f0ce71
Create Date: 2026-02-19 13:45:50.018265

"""
from typing import Sequence, Union

from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision: str = 'd48f1e7ca53b'
down_revision: Union[str, Sequence[str], None] = '93d6b2f0ce71'
branch_labels: Union[str, Sequence[str], None] = None
depends_on: Union[str, Sequence[str], None] = None


def upgrade() -> None:
    """Upgrade schema."""
    op.add_column("work_items", sa.Column("estimate_hours", sa.Integer(), nullable=True))


def downgrade() -> None:
    """Downgrade schema."""
    op.drop_column("work_items", "estimate_hours")
