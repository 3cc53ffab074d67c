"""search posts by metadata

Revision ID: 18a5f3d9b0e7
Revises: c7d0e29a4f86
Create Date: 2026-03-02 11:05:44.219530

"""
from typing import Sequence, Union

from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision: str = '18a5f3d9b0e7'
down_revision: Union[str, Sequence[str], None] = 'c7d0e29a4f86'
branch_labels: Union[str, Sequence[str], None] = None
depends_on: Union[str, Sequence[str], None] = None


def upgrade() -> None:
    """Upgrade schema."""
    with op.get_context().autocommit_block():
        op.create_index(
            "ix_posts_metadata",
            "posts",
            ["metadata"],
            postgresql_using="gin",
            postgresql_concurrently=True,
        )


def downgrade() -> None:
    """Downgrade schema."""
    with op.get_context().autocommit_block():
        op.drop_index("ix_posts_metadata", table_name="posts", postgresql_concurrently=True)
