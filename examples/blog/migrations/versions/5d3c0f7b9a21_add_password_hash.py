"""add password hash

Revision ID: 5d3c0f7b9a21
Revises: d2c8f41e6a75
Create Date: 2025-06-02 08:55:40.731902

"""
from typing import Sequence, Union

from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision: str = '5d3c0f7b9a21'
down_revision: Union[str, Sequence[str], None] = 'd2c8f41e6a75'
branch_labels: Union[str, Sequence[str], None] = None
depends_on: Union[str, Sequence[str], None] = None


def upgrade() -> None:
    """Upgrade schema."""
    op.add_column(
        "users",
        sa.Column("password_hash", sa.String(length=255), server_default="", nullable=False),
    )
    op.alter_column("users", "password_hash", server_default=None)


def downgrade() -> None:
    """Downgrade schema."""
    op.drop_column("users", "password_hash")
