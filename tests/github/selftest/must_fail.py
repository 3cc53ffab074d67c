"""find people by name"""

from alembic import op

revision = "bbb222"
down_revision = "aaa111"


def upgrade():
    op.create_index("ix_people_name", "people", ["name"])


def downgrade():
    op.drop_index("ix_people_name", "people")
