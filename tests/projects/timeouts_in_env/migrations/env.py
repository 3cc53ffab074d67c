import time

from alembic import context
from sqlalchemy import create_engine, event
from sqlalchemy.exc import OperationalError

ATTEMPTS = 3

engine = create_engine(context.config.get_main_option("sqlalchemy.url"))


@event.listens_for(engine, "connect")
def set_timeouts(connection, record):
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '2s'")
        cursor.execute("SET statement_timeout = '60s'")
    connection.commit()


def migrate():
    with engine.connect() as connection:
        context.configure(connection=connection)

        with context.begin_transaction():
            context.run_migrations()


for attempt in range(1, ATTEMPTS + 1):
    try:
        migrate()
        break
    except OperationalError as error:
        if "lock timeout" not in str(error) or attempt == ATTEMPTS:
            raise
        time.sleep(attempt)
