"""find people by name"""

from alembic import op

revision = "bbb222"
down_revision = "aaa111"


def upgrade():
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")
        op.create_index("ix_people_name", "people", ["name"], postgresql_concurrently=True)


def downgrade():
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")
        op.drop_index("ix_people_name", "people", postgresql_concurrently=True)
