from alembic import context
from sqlalchemy import create_engine

config = context.config

connectable = create_engine(config.file_config.get("shop", "database"))

with connectable.connect() as connection:
    context.configure(connection=connection)

    with context.begin_transaction():
        context.run_migrations()
