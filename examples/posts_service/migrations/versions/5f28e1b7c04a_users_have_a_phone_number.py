"""users have a phone number

Revision ID: 5f28e1b7c04a
Revises: a90c65d1f3e8
Create Date: 2026-03-05 08:59:02.711948

"""
from typing import Sequence, Union

from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision: str = '5f28e1b7c04a'
down_revision: Union[str, Sequence[str], None] = 'a90c65d1f3e8'
branch_labels: Union[str, Sequence[str], None] = None
depends_on: Union[str, Sequence[str], None] = None


def upgrade() -> None:
    """Upgrade schema."""
    op.add_column("users", sa.Column("phone_number", sa.String(length=32), nullable=True))


def downgrade() -> None:
    """Downgrade schema."""
    op.drop_column("users", "phone_number")
