from alembic import context
from sqlalchemy import create_engine

connectable = create_engine(context.config.get_main_option("sqlalchemy.url"))

with connectable.connect() as connection:
    connection.exec_driver_sql("SELECT pg_advisory_lock(7263849)")
    connection.commit()
    try:
        context.configure(connection=connection)

        with context.begin_transaction():
            context.run_migrations()
    finally:
        connection.exec_driver_sql("SELECT pg_advisory_unlock(7263849)")
        connection.commit()
