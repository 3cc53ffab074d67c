import os

from alembic import context
from sqlalchemy import create_engine

url = os.environ.get("SHOP_DATABASE_URL", "sqlite:///shop.db")
options = {"check_same_thread": False} if url.startswith("sqlite") else {}
connectable = create_engine(url, connect_args=options)

with connectable.connect() as connection:
    context.configure(connection=connection)

    with context.begin_transaction():
        context.run_migrations()
