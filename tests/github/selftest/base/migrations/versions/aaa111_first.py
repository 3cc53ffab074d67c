"""people"""

import sqlalchemy as sa
from alembic import op

revision = "aaa111"
down_revision = None


def upgrade():
    op.create_table("people", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.Text))


def downgrade():
    op.drop_table("people")
