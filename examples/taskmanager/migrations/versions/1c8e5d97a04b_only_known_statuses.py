"""only known statuses

Revision ID: 1c8e5d97a04b
Revises: 7fb04a6d3e92
Create Date: 2026-02-16 16:07:15.293406

"""
from typing import Sequence, Union

from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision: str = '1c8e5d97a04b'
down_revision: Union[str, Sequence[str], None] = '7fb04a6d3e92'
branch_labels: Union[str, Sequence[str], None] = None
depends_on: Union[str, Sequence[str], None] = None


def upgrade() -> None:
    """Upgrade schema."""
    op.create_check_constraint(
        "ck_work_items_status",
        "work_items",
        "status IN ('todo', 'doing', 'done', 'cancelled')",
    )


def downgrade() -> None:
    """Downgrade schema."""
    op.drop_constraint("ck_work_items_status", "work_items", type_="check")
