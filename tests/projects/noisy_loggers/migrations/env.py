import json
import logging
import sys

from alembic import context
from sqlalchemy import create_engine

connectable = create_engine(context.config.get_main_option("sqlalchemy.url"))

class JsonHandler(logging.StreamHandler):
    """Every record as one line of JSON on standard output, as structured loggers do."""

    def emit(self, record):
        print(json.dumps({"event": record.getMessage(), "logger": record.name}), file=sys.stdout, flush=True)


logging.basicConfig(level=logging.INFO, handlers=[JsonHandler()], force=True)
logging.getLogger("sqlalchemy.engine").setLevel(logging.INFO)

with connectable.connect() as connection:
    context.configure(connection=connection)

    with context.begin_transaction():
        context.run_migrations()
