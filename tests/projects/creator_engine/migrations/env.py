import psycopg
from alembic import context
from sqlalchemy import create_engine


def connect():
    return psycopg.connect("host=203.0.113.1 port=6543 dbname=app user=app sslmode=require connect_timeout=2")

connectable = create_engine("postgresql+psycopg://", creator=connect)

with connectable.connect() as connection:
    context.configure(connection=connection)

    with context.begin_transaction():
        context.run_migrations()
