import os

from alembic import context
from sqlalchemy import create_engine

SECRET_KEY = os.environ["SHOP_SECRET_KEY_OF_PRODUCTION"]

with create_engine(context.config.get_main_option("sqlalchemy.url")).connect() as connection:
    context.configure(connection=connection)

    with context.begin_transaction():
        context.run_migrations()
