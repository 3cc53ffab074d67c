"""documents are uploaded by users

Revision ID: fa6172be480d
Revises: 07c9a5e3d1f2
Create Date: 2026-01-21 15:55:59.147283

"""
from typing import Sequence, Union

from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision: str = 'fa6172be480d'
down_revision: Union[str, Sequence[str], None] = '07c9a5e3d1f2'
branch_labels: Union[str, Sequence[str], None] = None
depends_on: Union[str, Sequence[str], None] = None


def upgrade() -> None:
    """Upgrade schema."""
    op.create_foreign_key(
        "fk_documents_uploaded_by_users",
        "documents",
        "users",
        ["uploaded_by"],
        ["id"],
        postgresql_not_valid=True,
    )


def downgrade() -> None:
    """Downgrade schema."""
    op.drop_constraint("fk_documents_uploaded_by_users", "documents", type_="foreignkey")
