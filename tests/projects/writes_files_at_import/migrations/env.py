import datetime
from pathlib import Path

from alembic import context
from sqlalchemy import create_engine

connectable = create_engine(context.config.get_main_option("sqlalchemy.url"))

HERE = Path(__file__).parent

(HERE / "last_run.txt").write_text(datetime.datetime.now().isoformat())
Path("migrations.log").open("a").write("env.py\n")

with connectable.connect() as connection:
    context.configure(connection=connection)

    with context.begin_transaction():
        context.run_migrations()
