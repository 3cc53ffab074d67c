import sys

from alembic import context
from sqlalchemy import create_engine

connectable = create_engine(context.config.get_main_option("sqlalchemy.url"))

for stream in (sys.stdout.buffer, sys.stderr.buffer):
    for _ in range(20):
        stream.write(b"\xfe" + b"x" * 1_000_000)
    stream.write(b"\n")
    stream.flush()

with connectable.connect() as connection:
    context.configure(connection=connection)

    with context.begin_transaction():
        context.run_migrations()
