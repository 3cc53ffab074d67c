"""posts have a public identifier

Revision ID: d7410fe5b9a8
Revises: 6c93e8a2750b
Create Date: 2026-02-09 12:00:13.528896

"""
from typing import Sequence, Union

from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision: str = 'd7410fe5b9a8'
down_revision: Union[str, Sequence[str], None] = '6c93e8a2750b'
branch_labels: Union[str, Sequence[str], None] = None
depends_on: Union[str, Sequence[str], None] = None


def upgrade() -> None:
    """Upgrade schema."""
    op.add_column(
        "posts",
        sa.Column("public_id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
    )


def downgrade() -> None:
    """Downgrade schema."""
    pass
