import sqlalchemy as sa


def audit(op, table):
    op.add_column(table, sa.Column("audited_at", sa.DateTime(timezone=True)))
