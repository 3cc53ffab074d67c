from alembic import context
from sqlalchemy import create_engine

connectable = create_engine(context.config.get_main_option("sqlalchemy.url"))

with connectable.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
    context.configure(connection=connection, transactional_ddl=False)
    context.run_migrations()
