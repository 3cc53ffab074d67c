"""authors have a full name

Revision ID: 2a6f9c1de583
Revises: b8e5d0372fc4
Create Date: 2026-02-03 10:15:37.804219

"""
from typing import Sequence, Union

from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision: str = '2a6f9c1de583'
down_revision: Union[str, Sequence[str], None] = 'b8e5d0372fc4'
branch_labels: Union[str, Sequence[str], None] = None
depends_on: Union[str, Sequence[str], None] = None


def upgrade() -> None:
    """Upgrade schema."""
    op.alter_column("authors", "name", new_column_name="full_name")


def downgrade() -> None:
    """Downgrade schema."""
    op.alter_column("authors", "full_name", new_column_name="name")
