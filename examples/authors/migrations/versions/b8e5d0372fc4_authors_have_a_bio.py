"""authors have a bio

Revision ID: b8e5d0372fc4
Revises: 74f1d8c05b2e
Create Date: 2025-09-15 11:11:02.236648

"""
from typing import Sequence, Union

from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision: str = 'b8e5d0372fc4'
down_revision: Union[str, Sequence[str], None] = '74f1d8c05b2e'
branch_labels: Union[str, Sequence[str], None] = None
depends_on: Union[str, Sequence[str], None] = None


def upgrade() -> None:
    """Upgrade schema."""
    op.add_column("authors", sa.Column("bio", sa.String(length=200), nullable=True))


def downgrade() -> None:
    """Downgrade schema."""
    op.drop_column("authors", "bio")
