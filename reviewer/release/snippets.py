"""Code for a project's env.py, as the tests run it."""

LOCK_TIMEOUT = """\
import functools
import time

from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError

WAIT, PAUSE, ATTEMPTS = "2s", 5, 10


@event.listens_for(Engine, "connect")
def wait_no_longer(connection, _):
    cursor = connection.cursor()
    cursor.execute(f"SET lock_timeout = '{WAIT}'")
    cursor.close()
    connection.commit()


def with_retries(run):
    @functools.wraps(run)
    def again():
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return run()
            except DBAPIError as error:
                if "lock timeout" not in str(error) or attempt == ATTEMPTS:
                    raise
                time.sleep(PAUSE)  # let those pass who waited behind us

    return again


run_migrations_online = with_retries(run_migrations_online)"""
"""Lines that an env.py can have besides its own, whether it is asynchronous or not: every connection waits for no lock
longer than that, and what env.py runs is tried again; what was committed stays.
"""

WHERE = (
    "Add the lines to env.py above its last `if context.is_offline_mode():`, nothing else changes; if the function that"
    " it calls there has another name, write that in the last line."
)
"""Where `LOCK_TIMEOUT` goes."""
