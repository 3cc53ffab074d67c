import os

from alembic import context
from sqlalchemy import create_engine

connectable = create_engine(context.config.get_main_option("sqlalchemy.url"))

with connectable.connect() as connection:
    os._exit(3)
