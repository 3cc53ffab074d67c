from alembic import context
from sqlalchemy import create_engine

connectable = create_engine(context.config.get_main_option("sqlalchemy.url"))

with connectable.connect() as connection:
    connection.exec_driver_sql("SET search_path TO public")  # begins a transaction: Alembic leaves it to us
    context.configure(connection=connection)

    with context.begin_transaction():
        context.run_migrations()

    connection.commit()
