"""create items

Revision ID: 1f0c6a7b9d23
Revises: 
Create Date: 2025-01-10 09:00:00
"""

from alembic import op

revision = "1f0c6a7b9d23"
down_revision = None


def upgrade():
    op.execute("CREATE TABLE items (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(50)) ENGINE=InnoDB")


def downgrade():
    op.execute("DROP TABLE items")
