from alembic import context
from sqlalchemy import create_engine

with create_engine("postgresql+psycopg://nobody@nowhere.invalid/nothing").connect() as connection:
    connection.exec_driver_sql("SET lock_timeout = '5s'")
    connection.commit()
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
