"""one account for one email

Revision ID: a90c65d1f3e8
Revises: 4be7c2610d9f
Create Date: 2026-03-04 17:20:31.045862

"""
from typing import Sequence, Union

from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision: str = 'a90c65d1f3e8'
down_revision: Union[str, Sequence[str], None] = '4be7c2610d9f'
branch_labels: Union[str, Sequence[str], None] = None
depends_on: Union[str, Sequence[str], None] = None


def upgrade() -> None:
    """Upgrade schema."""
    op.create_unique_constraint("uq_users_email", "users", ["email"])


def downgrade() -> None:
    """Downgrade schema."""
    op.drop_constraint("uq_users_email", "users", type_="unique")
