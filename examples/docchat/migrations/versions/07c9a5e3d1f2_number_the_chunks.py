"""number the chunks

Revision ID: 07c9a5e3d1f2
Revises: b4d20f8e617c
Create Date: 2026-01-21 10:30:25.316007

"""
from typing import Sequence, Union

from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision: str = '07c9a5e3d1f2'
down_revision: Union[str, Sequence[str], None] = 'b4d20f8e617c'
branch_labels: Union[str, Sequence[str], None] = None
depends_on: Union[str, Sequence[str], None] = None


def upgrade() -> None:
    """Upgrade schema."""
    op.add_column("chunks", sa.Column("seq", sa.BigInteger(), sa.Identity(), nullable=False))


def downgrade() -> None:
    """Downgrade schema."""
    op.drop_column("chunks", "seq")
