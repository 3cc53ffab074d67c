"""Code for a project's env.py, as the tests run it."""

LOCK_TIMEOUT = """\
import time

from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

WAIT, PAUSE, ATTEMPTS = "2s", 5, 10


def run_migrations_online() -> None:
    connectable = engine_from_config(
        config.get_section(config.config_ini_section), prefix="sqlalchemy.", poolclass=pool.NullPool
    )

    @event.listens_for(connectable, "connect")
    def wait_no_longer(connection, _):
        cursor = connection.cursor()
        cursor.execute(f"SET lock_timeout = '{WAIT}'")
        cursor.close()
        connection.commit()

    for attempt in range(1, ATTEMPTS + 1):
        try:
            with connectable.connect() as connection:
                context.configure(connection=connection, target_metadata=target_metadata)
                with context.begin_transaction():
                    context.run_migrations()
            return
        except DBAPIError as error:
            if "lock timeout" not in str(error) or attempt == ATTEMPTS:
                raise
            time.sleep(PAUSE)  # let those pass who waited behind us"""
"""A `run_migrations_online` that waits for no lock longer than that, and tries again; what was committed stays."""
