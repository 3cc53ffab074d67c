"""posts have a status

Revision ID: f10d47b3c8e6
Revises: 2a6f9c1de583
Create Date: 2026-02-03 16:41:20.167735

"""
from typing import Sequence, Union

from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision: str = 'f10d47b3c8e6'
down_revision: Union[str, Sequence[str], None] = '2a6f9c1de583'
branch_labels: Union[str, Sequence[str], None] = None
depends_on: Union[str, Sequence[str], None] = None


def upgrade() -> None:
    """Upgrade schema."""
    status = sa.Enum("draft", "review", "published", name="post_status")
    status.create(op.get_bind())
    op.add_column("posts", sa.Column("status", status, server_default="draft", nullable=False))


def downgrade() -> None:
    """Downgrade schema."""
    op.drop_column("posts", "status")
